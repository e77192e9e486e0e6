"""Signatures of EFI programs: sbverify, osslsigncode and openssl accept them, and they are the same bytes each time."""

from functools import partial

import pytest

from pipeline.incremental import checksum16
from pipeline.model.tree import cut, length
from pipeline.ondisk import authenticode as ondisk
from pipeline.ondisk import pe as structures
from pipeline.ondisk import x509
from pipeline.readers import StructureError
from pipeline.readers import authenticode as reader
from pipeline.readers.view import BytesView, HostFile
from pipeline.writers import FormatError, authenticode, pe
from tests.judges import need, run
from tests.writers import samples, signing

HEAD = 4096


@pytest.fixture(scope="module")
def program(store):
    """The content of an unsigned UKI."""
    sections = [(".cmdline", store.content(b"quiet\0")), (".initrd", store.content(samples.noise(10_001))),
                (".linux", store.content(samples.noise(5_000)))]  # fmt: skip
    out = store.rope()
    pe.write(pe.stub(signing.stub()), sections, partial(checksum16, store), out)
    return out.finish()


@pytest.fixture(scope="module")
def unsigned(store, program):
    return store.bytes(program)


@pytest.fixture(scope="module", params=["rsa:2048", "rsa:4096"])
def pair(request, tmp_path_factory):
    return signing.make_key(tmp_path_factory.mktemp("keys"), "db", kind=request.param)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return signing.make_key(tmp_path_factory.mktemp("other"), "other")


def signed(store, program, pair, change=lambda signature: signature):
    """The bytes of a program, signed by openssl. pair: a key, and a file with its certificate, or a chain."""
    image = reader.image_hash(BytesView(store.bytes(program)))
    signature = change(signing.openssl_signature(pair[0], ondisk.signed_attributes(image)))
    chain = pair[1] if isinstance(pair[1], list) else [signing.certificate(pair[1])]
    data = authenticode.signed_data(image, chain, signature)
    out, head = store.rope(), store.bytes(cut(program, 0, HEAD))
    authenticode.attach(head, cut(program, HEAD, length(program) - HEAD), data, partial(checksum16, store), out)
    return store.bytes(out.finish())


@pytest.fixture(scope="module")
def result(store, program, pair):
    return signed(store, program, pair)


@pytest.fixture
def file(result, tmp_path):
    (tmp_path / "signed.efi").write_bytes(result)
    return tmp_path / "signed.efi"


def test_sbverify_takes_it_with_its_certificate_and_no_other(file, pair, other):
    tool = need("sbverify", "sbsigntool")
    assert "Signature verification OK" in run(tool, "--cert", pair[1], file).stdout
    with pytest.raises(AssertionError, match="fail"):
        run(tool, "--cert", other[1], file)
    data = bytearray(file.read_bytes())
    data[-10_000] ^= 1
    file.write_bytes(data)
    with pytest.raises(AssertionError, match="fail"):
        run(tool, "--cert", pair[1], file)


def test_a_signer_s_issuers_are_found_in_the_signature(store, program, tmp_path):
    key, chain, authority = signing.make_chain(tmp_path)
    certificates = x509.chain_from_file(chain.read_bytes())
    path = tmp_path / "signed.efi"
    path.write_bytes(signed(store, program, (key, certificates)))
    assert "Signature verification OK" in run(need("sbverify", "sbsigntool"), "--cert", authority, path).stdout
    (found,) = reader.signatures(HostFile(path))
    assert found.certificate == certificates[0]
    path.write_bytes(signed(store, program, (key, certificates[:1])))
    with pytest.raises(AssertionError, match="fail"):
        run(need("sbverify", "sbsigntool"), "--cert", authority, path)


def test_osslsigncode_finds_the_same_hash_and_a_right_check_sum(file, pair):
    text = run(need("osslsigncode"), "verify", "-CAfile", pair[1], file).stdout
    image = reader.image_hash(HostFile(file)).hex()
    assert text.lower().count(image) == 2 and "Signature verification: ok" in text and "MISMATCH" not in text, text


def test_openssl_reads_the_signature(file, pair, tmp_path):
    (found,) = reader.signatures(HostFile(file))
    (tmp_path / "p7").write_bytes(found.data)
    text = run(need("openssl"), "pkcs7", "-inform", "DER", "-in", tmp_path / "p7", "-print_certs", "-noout").stdout
    assert "CN = db" in text or "CN=db" in text
    assert "rror" not in run(need("openssl"), "asn1parse", "-inform", "DER", "-in", tmp_path / "p7").stdout


def test_it_is_the_same_twice_and_sbsign_signs_the_same_hash(store, program, pair, result, unsigned, tmp_path):
    assert signed(store, program, pair) == result
    assert len(result) - len(unsigned) < 3000
    (tmp_path / "unsigned.efi").write_bytes(unsigned)
    run(need("sbsign", "sbsigntool"), "--key", pair[0], "--cert", pair[1], "--output", tmp_path / "theirs",
        tmp_path / "unsigned.efi")  # fmt: skip
    (theirs,), (ours,) = (reader.signatures(view) for view in (HostFile(tmp_path / "theirs"), BytesView(result)))
    assert theirs.image == ours.image == reader.image_hash(BytesView(unsigned))
    assert theirs.certificate == ours.certificate == signing.certificate(pair[1])


def test_sbattach_takes_the_signature_off_again(file, unsigned):
    run(need("sbattach", "sbsigntool"), "--remove", file)
    assert reader.image_hash(HostFile(file)) == reader.image_hash(BytesView(unsigned))
    assert reader.signatures(HostFile(file)) == []


def test_a_signature_of_other_bytes_or_by_another_key_is_refused(store, program, pair, other):
    with pytest.raises(FormatError, match="not one of"):
        signed(store, program, pair, lambda signature: signature[:-1])
    with pytest.raises(FormatError, match="not one of"):
        signed(store, program, pair, lambda signature: bytes(len(signature)))
    with pytest.raises(FormatError, match="not one of"):
        signed(store, program, (other[0], pair[1]))


def test_a_signed_program_is_not_signed_again(store, pair, result):
    with pytest.raises(FormatError, match="signed already"):
        signed(store, store.content(result), pair)


def test_a_certificate_table_that_is_too_large_is_refused(store, program):
    head, rest = store.bytes(cut(program, 0, HEAD)), cut(program, HEAD, length(program) - HEAD)
    with pytest.raises(FormatError, match="certificate table of"):
        authenticode.attach(head, rest, bytes(ondisk.LARGEST_TABLE), partial(checksum16, store), store.rope())


def test_a_program_of_an_odd_size_is_padded_before_it_is_hashed(store, program, pair, tmp_path):
    content = (*program, *store.content(b"odd"))
    path = tmp_path / "odd.efi"
    path.write_bytes(signed(store, content, pair))
    assert "Signature verification OK" in run(need("sbverify", "sbsigntool"), "--cert", pair[1], path).stdout
    (found,) = reader.signatures(HostFile(path))
    assert found.image == reader.image_hash(BytesView(store.bytes(content)))


def test_a_program_with_a_gap_between_its_sections_is_refused(unsigned):
    data = bytearray(unsigned)
    start = structures.DOS.unpack(data).lfanew + len(structures.MAGIC)
    table = start + structures.COFF.size + structures.COFF.unpack(data, start).SizeOfOptionalHeader
    row = structures.SECTION.unpack(data, table)
    structures.SECTION.patch(data, table, SizeOfRawData=row.SizeOfRawData - 512)
    with pytest.raises(StructureError, match="a section that starts at"):
        reader.image_hash(BytesView(bytes(data)))


def test_what_is_no_program_is_refused(unsigned):
    for data in (b"", b"MZ", bytes(4096), unsigned[:64], unsigned[:600], unsigned[: len(unsigned) // 2]):
        with pytest.raises(StructureError, match="not an EFI program that can be signed"):
            reader.image_hash(BytesView(data))


def test_each_changed_byte_of_the_headers_or_the_signature_is_found(result):
    """But those that nothing signs: the check sum, padding, and the encodings that a reader has no use for."""
    (good,) = reader.signatures(BytesView(result))
    where = ondisk.layout(result[:HEAD], len(result))
    free = set(range(where.checksum, where.checksum + 4))
    for at in [*range(0, where.headers, 3), *range(where.end, len(result), 3)]:
        if at in free:
            continue
        changed = bytearray(result)
        changed[at] ^= 0x20
        try:
            found = reader.signatures(BytesView(bytes(changed)))
        except StructureError:
            continue
        keys = [each.certificate.modulus for each in found]
        assert at >= where.end and keys == [good.certificate.modulus] and found[0].image == good.image, at


def test_a_cut_or_lengthened_program_is_refused(result):
    for data in (result[:-8], result[:-1], result + bytes(8), result[:-2000]):
        with pytest.raises(StructureError):
            reader.signatures(BytesView(data))
