"""Places that stand for a reference, in the order in which they are asked."""

from pipeline.oci.archive import DockerArchive
from pipeline.oci.layout import Layout
from pipeline.oci.mirror import parse as mirrors
from pipeline.oci.reference import parse
from pipeline.oci.registry import Registry
from pipeline.oci.source import sources


def test_a_registry_is_asked_itself_unless_it_has_mirrors():
    reference = parse("docker.io/library/alpine:3")
    assert [type(each) for each in sources(reference, {})] == [Registry]
    places = mirrors(["docker.io=oci:layout", "docker.io=http://127.0.0.1:5000"])
    assert [type(each) for each in sources(reference, places)] == [Layout, Registry]


def test_files_on_the_host_are_one_place():
    assert [type(each) for each in sources(parse("oci:folder"), {})] == [Layout]
    assert [type(each) for each in sources(parse("docker-archive:file.tar"), {})] == [DockerArchive]
