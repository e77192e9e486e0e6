"""Messages name the command that the user typed."""

from pipeline.host.user_command import VARIABLE, user_command


def test_the_command_is_the_user_s_own(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert user_command("lock:node") == "`doit lock:node`"
    monkeypatch.setenv(VARIABLE, "./kiln")
    assert user_command("lock:node") == "`./kiln lock:node`"
