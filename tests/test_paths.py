"""Where a file stands and what kind of file it is."""

from __future__ import annotations

import pytest

from detectors import path_classes, paths, urls

TREE = "/code/shop"

PLACES: list[tuple[str, str, str]] = [  # as written, seen from the tree; what it is; where
    ("a.py", "/code/shop/a.py", "inside"),
    ("./a/../b", "/code/shop/b", "inside"),
    ("../a", "/code/a", "outside"),
    ("../../../../etc/passwd", "/etc/passwd", "system"),
    ("/code/shop/x", "/code/shop/x", "inside"),
    ("/code/shopping", "/code/shopping", "outside"),
    ("'quoted name'", "/code/shop/quoted name", "inside"),
    ("/etc//passwd", "/etc/passwd", "system"),
    ("//etc/passwd", "/etc/passwd", "system"),
    ("/", "/", "system"),
    ("/*", "/*", "system"),
    ("~", "~", "home"),
    ("~/.ssh/../.aws/credentials", "~/.aws/credentials", "home"),
    ("~root/.bashrc", "~root/.bashrc", "home"),
    ("$HOME/.npmrc", "~/.npmrc", "home"),
    ("${HOME}/x", "~/x", "home"),
    ("/home/dev/x", "/home/dev/x", "home"),
    ("/root/.bashrc", "/root/.bashrc", "home"),
    ("/Users/dev/Library/Keychains/login.keychain-db", "/Users/dev/Library/Keychains/login.keychain-db", "home"),
    ("%USERPROFILE%\\.ssh\\id_rsa", "~/.ssh/id_rsa", "home"),
    ("%APPDATA%\\x", "~/AppData/Roaming/x", "home"),
    ("$env:USERPROFILE\\x", "~/x", "home"),
    ("c:\\Users\\dev\\x.txt", "C:/Users/dev/x.txt", "home"),
    ("C:\\Windows\\..\\Windows\\System32\\config\\SAM", "C:/Windows/System32/config/SAM", "system"),
    ("C:/Program Files/x", "C:/Program Files/x", "system"),
    ("D:\\data\\x.", "D:/data/x", "outside"),
    ("\\\\server\\share\\x\\y", "//server/share/x/y", "outside"),
    ("\\\\?\\C:\\Windows\\x", "C:/Windows/x", "system"),
    ("src\\a.py", "/code/shop/src/a.py", "inside"),
    ("file:///etc/hosts", "/etc/hosts", "system"),
    ("file:///C:/Windows/x", "C:/Windows/x", "system"),
    ("file:/etc/a%20b", "/etc/a b", "system"),
    ("/tmp/x", "/tmp/x", "temp"),
    ("/var/tmp/x", "/var/tmp/x", "temp"),
    ("/dev/shm/x", "/dev/shm/x", "temp"),
    ("$TMPDIR/x", "/tmp/x", "temp"),
    ("%TEMP%\\x", "/tmp/x", "temp"),
    ("$PWD/x", "/code/shop/x", "inside"),
    ("$(pwd)/../x", "/code/x", "outside"),
    ("$UNKNOWN/x", "$UNKNOWN/x", "unknown"),
    ("$(mktemp)", "$(mktemp)", "unknown"),
    ("", "", "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "full", "scope"), PLACES)
def test_a_path_is_seen_from_the_working_tree(path: str, full: str, scope: str) -> None:
    """Every spelling of a place is one place."""
    assert paths.place(path, "", TREE)[:2] == (full, scope)


@pytest.mark.parametrize(
    ("path", "cwd", "tree", "full", "scope"),
    [
        ("a", "", "", "a", "inside"),
        ("../a", "", "", "../a", "outside"),
        ("/data/a", "", "", "/data/a", "unknown"),
        ("a", "/code/shop/src", "/code/shop", "/code/shop/src/a", "inside"),
        ("../a", "/code/shop/src", "/code/shop", "/code/shop/a", "inside"),
        ("../../a", "/code/shop/src", "/code/shop", "/code/a", "outside"),
        ("a", "src", "/code/shop", "/code/shop/src/a", "inside"),
        ("a", "/etc", "", "/etc/a", "system"),
        ("x", "", "/home/dev/shop", "/home/dev/shop/x", "inside"),
        ("../x", "", "/home/dev/shop", "/home/dev/x", "home"),
        ("/tmp/work/a", "", "/tmp/work", "/tmp/work/a", "inside"),
        ("C:\\Code\\Shop\\a", "", "c:\\code\\shop", "C:/Code/Shop/a", "inside"),
        ("..\\a", "", "c:\\code\\shop", "C:/code/a", "outside"),
        ("/etc/passwd", "", "/", "/etc/passwd", "system"),
    ],
)
def test_a_path_is_seen_from_the_directory_of_the_call(path: str, cwd: str, tree: str, full: str, scope: str) -> None:
    """A directory of the call comes before the tree; without either a relative path is inside."""
    assert paths.place(path, cwd, tree)[:2] == (full, scope)


KINDS: dict[str, tuple[str, str]] = {  # class: a path of it, and a near miss
    "env": (".env.production", ".env.example"),
    "shell-profile": ("~/.zshrc", "/code/bashrc.md"),
    "local-config": ("app/settings.local.json", "app/settings.json"),
    "mcp-config": (".mcp.json", "docs/mcp.md"),
    "cloud-credentials": ("~/.aws/credentials", "src/aws/client.py"),
    "package-token": ("~/.npmrc", "package.json"),
    "agent-credentials": ("~/.codex/auth.json", "src/auth.json"),
    "ssh-key": ("~/.ssh/id_ed25519", "docs/ssh.md"),
    "ssh-config": ("/etc/ssh/sshd_config", "~/.ssh/id_rsa"),
    "private-key": ("certs/server.key", "src/keys.py"),
    "password-store": ("~/vault.kdbx", "src/password.py"),
    "browser-data": ("~/.config/google-chrome/Default/Cookies", "src/chrome/cookies.py"),
    "wallet": ("~/.bitcoin/wallet.dat", "src/wallet.py"),
    "shell-history": ("~/.bash_history", "docs/history.md"),
    "notes": ("notes.md", "release-notes.py"),
    "script": ("scripts/deploy.sh", "src/deploy.py"),
    "makefile": ("Makefile", "src/makefile_parser.py"),
    "ci-config": (".github/workflows/ci.yml", ".github/ISSUE_TEMPLATE.md"),
    "agent-config": ("CLAUDE.md", "README.md"),
    "permission-file": (".claude/settings.json", "src/settings.json"),
    "hook": (".git/hooks/pre-commit", "src/hooks.py"),
    "telemetry-config": ("otel-collector.yaml", "src/collector.py"),
    "git-internal": (".git/config", ".gitignore"),
    "git-config": ("~/.gitconfig", "src/config"),
    "kube-config": ("~/.kube/config", "src/kube/config.py"),
    "container-config": ("docker-compose.prod.yml", "docs/docker.md"),
    "infra-config": ("infra/main.tf", "src/main.py"),
    "database-file": ("app.sqlite3", "src/db.py"),
    "backup": ("/data/backups/monday.tar.gz", "src/backup.py"),
    "log": ("/var/log/syslog", "src/log.py"),
    "system-account": ("/etc/shadow", "docs/etc/shadow"),
    "system-config": ("/etc/nginx/nginx.conf", "src/etc.py"),
    "system-binary": ("/usr/bin/env", "bin/env"),
    "device": ("/dev/sda1", "/dev/null"),
    "process": ("/proc/self/environ", "/proc/cpuinfo"),
    "cron": ("/etc/cron.d/job", "src/cron.py"),
    "startup": ("~/.config/autostart/x.desktop", "src/startup.py"),
    "hosts-file": ("/etc/hosts", "/code/hosts"),
    "secrets-dir": ("config/secrets/a.yml", "src/secrets.py"),
    "source": ("src/a.py", "data/a.bin"),
    "test": ("tests/test_a.py", "src/a.py"),
    "dependency-lock": ("package-lock.json", "src/lock.json"),
    "dependency-manifest": ("requirements-dev.txt", "docs/requirements.md"),
    "document": ("~/Documents/plan.docx", "src/document.py"),
    "mail": ("/var/mail/dev", "src/mail.py"),
    "archive": ("dist/a.tar.gz", "src/tar.py"),
}


def test_every_class_has_its_case() -> None:
    """A class nobody tests is a class nobody knows."""
    assert KINDS.keys() == path_classes.PATTERNS.keys()


@pytest.mark.parametrize("name", KINDS)
def test_a_class_is_known_by_its_path(name: str) -> None:
    """A file of the class is one; a file that only looks like it is none."""
    of, miss = KINDS[name]
    assert name in paths.place(of, "", TREE).classes
    assert name not in paths.place(miss, "", TREE).classes


@pytest.mark.parametrize(
    ("text", "host", "domain", "scope"),
    [
        ("https://u:p@a.b.example.co.uk:8443/x?y#z", "a.b.example.co.uk", "example.co.uk", "public"),
        ("HTTPS://A.Example.ORG./x", "a.example.org", "example.org", "public"),
        ("x.github.io", "x.github.io", "x.github.io", "public"),
        ("git@git.example.org", "git.example.org", "example.org", "public"),
        ("example.org:443", "example.org", "example.org", "public"),
        ("[2001:db8::1]:443", "2001:db8::1", "2001:db8::1", "public"),
        ("http://2130706433/", "2130706433", "", "local"),
        ("http://127.1.2.3/", "127.1.2.3", "", "local"),
        ("localhost", "localhost", "", "local"),
        ("db.internal", "db.internal", "db.internal", "private"),
        ("10.1.2.3", "10.1.2.3", "10.1.2.3", "private"),
        ("s3://bucket/key", "bucket.s3.amazonaws.com", "bucket.s3.amazonaws.com", "public"),
    ],
)
def test_a_destination_has_a_host_and_a_registered_domain(text: str, host: str, domain: str, scope: str) -> None:
    """By the public suffix list; this machine has no domain."""
    found = urls.destination(text)
    assert found is not None
    assert (found.host, found.domain, found.scope) == (host, domain, scope)


@pytest.mark.parametrize(
    "text", ["", "file:///etc/passwd", "data:text/plain,x", "http://", "a b", "http://[::1", "$HOST"]
)
def test_what_names_no_host_is_no_destination(text: str) -> None:
    """Local files, empty and broken URLs, names only a shell knows."""
    assert urls.destination(text) is None
