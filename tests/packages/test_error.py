"""Errors about packages: what cannot be had is named with the command that mends it."""

from pipeline.packages.error import PackageError, PackagesUnavailable, UnavailablePackage


def test_packages_are_sorted_and_one_command_locks_others(monkeypatch):
    monkeypatch.delenv("NODEKILN_COMMAND", raising=False)
    two, one = UnavailablePackage("sshd", "sshd needs b"), UnavailablePackage("init", "init needs a")
    error = PackagesUnavailable([two, one, two])
    assert isinstance(error, PackageError) and error.packages == (one, two)
    expected = "init needs a\nsshd needs b\n`doit lock --update init,sshd` locks the versions that there are today"
    assert str(error) == expected
