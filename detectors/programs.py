"""What well-known programs do to the world: one line each, to be extended here and nowhere else.

Effects: read, write, delete, move, copy, list, search, print, send, fetch, connect, listen, scan, execute, install,
uninstall, publish, build, test, query, grant, account, configure, schedule, start, stop, disable, deploy, destroy,
encrypt, decode, login, watch. A program not listed has no effect, which says nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

Files: TypeAlias = Literal["", "read", "write", "delete", "edit", "execute", "copy", "move", "link"]
Hosts: TypeAlias = Literal["", "urls", "first", "all", "remote"]


class Program(NamedTuple):
    """One program. Lists are words parted by blanks.

    `files`: what it does with its arguments; `skip`: arguments before the files (a pattern, a mode). `valued`: flags
    that take the next word; `reads`, `writes`: those whose value is a file. `verbs`, `flags`: effects that one of
    them brings; those of a verb replace the program's own. `hosts`: which arguments are destinations: those that
    are URLs, the first, all, or those of the form host:path. `plain`: flags have one dash and many letters.
    """

    effect: str = ""
    files: Files = ""
    skip: int = 0
    valued: str = ""
    reads: str = ""
    writes: str = ""
    verbs: Mapping[str, str] = {}
    flags: Mapping[str, str] = {}
    hosts: Hosts = ""
    plain: bool = False


PROGRAMS: dict[str, Program] = {}


def _add(names: str, program: Program) -> None:
    for name in names.split():
        PROGRAMS[name] = program


def program(name: str) -> Program:
    """What is known of a program; python3.11 is python."""
    found = PROGRAMS.get(name)
    if found is None:
        found = PROGRAMS.get(name.rstrip("0123456789."), _UNKNOWN)
    return found


_UNKNOWN = Program()

# Reading and looking around.
_add(
    "cat tac nl bat batcat more less most view zcat bzcat xzcat zless strings od hexdump fold fmt rev pr",
    Program("read", "read"),
)
_add("head tail", Program("read", "read", valued="-n -c --lines --bytes"))
_add("xxd", Program("read", "read", valued="-l -s -c -g", plain=True, flags={"-r": "decode"}))
_add("cut", Program("read", "read", valued="-d -f -c -b --delimiter --fields"))
_add("sort uniq shuf", Program("read", "read", valued="-k -t -o -S -T -n -f -w", writes="-o --output"))
_add("wc comm join paste column expand unexpand tsort csvlook", Program("read", "read", valued="-d -s -t -c"))
_add(
    "grep egrep fgrep rg ag ack zgrep ripgrep",
    Program(
        "search read",
        "read",
        1,
        valued="-e -f -m -A -B -C -g -t -T -d -D --include --exclude --exclude-dir --max-count --context --glob --type --color -r0",
        reads="-f --file",
        flags={"-e": "", "--regexp": ""},
    ),
)
_add("awk gawk mawk nawk", Program("read", "read", 1, valued="-F -v -f", reads="-f"))
_add(
    "jq yq xq xmllint",
    Program("read", "read", 1, valued="--arg --argjson --indent", flags={"-i": "write", "--in-place": "write"}),
)
_add(
    "sed gsed",
    Program("read", "read", 1, valued="-e -f -l --expression --file", flags={"-i": "write", "--in-place": "write"}),
)
_add("perl ruby", Program("execute", "execute", valued="-e -E -I -M", flags={"-i": "write"}))
_add(
    "diff cmp colordiff vimdiff md5sum sha1sum sha256sum sha512sum b2sum cksum sum file stat readlink realpath",
    Program("read", "read", valued="-c -f -U -x"),
)
_add("ls dir tree exa eza lsd vdir du", Program("list", valued="-I -L --max-depth -d"))
_add(
    "find fd fdfind locate which whereis type",
    Program(
        "search list",
        plain=True,
        flags={"-delete": "delete", "-exec": "execute", "-execdir": "execute", "-ok": "execute"},
    ),
)
_add(
    "pwd whoami id groups hostname uname date uptime env printenv locale nproc arch tty who w last lastlog users df free lscpu lsblk lsof ps top htop pgrep pstree vmstat iostat dmesg journalctl lsmod lspci lsusb history ulimit sysctl getent finger",
    Program("list"),
)
_add("echo printf print yes seq", Program("print"))
_add("true false : sleep test [ exit return break continue shift wait", Program())
_add("read expr let basename dirname tput clear", Program())

# Changing files.
_add("rm unlink rmdir", Program("delete", "delete"))
_add("shred wipe srm", Program("delete destroy", "delete", valued="-n -s --iterations --size"))
_add("del erase rd remove-item ri", Program("delete", "delete", valued="-path -filter -include -exclude"))
_add(
    "cp copy-item xcopy robocopy install ditto",
    Program(
        "copy read write",
        "copy",
        valued="-t -m -o -g -S --target-directory --mode --owner --group --suffix",
        writes="-t --target-directory",
    ),
)
_add(
    "mv move-item ren rename rename-item",
    Program("move write delete", "move", valued="-t -S --target-directory", writes="-t --target-directory"),
)
_add("ln mklink", Program("write", "link", valued="-t -S"))
_add("touch mkdir mkfifo mknod new-item md", Program("write", "write", valued="-m -d -t -r --mode --date --reference"))
_add("tee", Program("write", "write"))
_add("sponge", Program("write", "write"))
_add(
    "truncate fallocate",
    Program("write", "write", valued="-s -r -l -o --size --reference", flags={"-s": "delete", "--size": "delete"}),
)
_add("dd", Program("copy read write"))
_add("split csplit", Program("read write", "read", valued="-b -l -n -a"))
_add("patch", Program("write", "edit", valued="-p -i -d -o", reads="-i --input"))
_add("ed ex vi vim nvim nano emacs pico", Program("read write", "edit", valued="-c -u -S +"))
_add("chmod setfacl icacls cacls", Program("grant write", "edit", 1, valued="-m -x --reference"))
_add("chown chgrp takeown", Program("grant write", "edit", 1))
_add("chattr setcap setfattr", Program("grant write", "edit", 1))
_add("tar bsdtar gtar", Program("read write", valued="-f -C -X -T --file --directory --exclude"))
_add("zip", Program("read write", valued="-P -x -i"))
_add("7z 7za rar", Program("read write"))
_add("unzip unrar gunzip bunzip2 unxz unzstd", Program("read write", "read", valued="-d -P -x"))
_add("gzip bzip2 xz zstd lz4 compress", Program("read write", "edit"))
_add("cpio ar", Program("read write"))

# Coding, ciphering.
_add(
    "base64 base32",
    Program("read", "read", valued="-w -i -o", flags={"-d": "decode", "-D": "decode", "--decode": "decode"}),
)
_add(
    "openssl",
    Program(
        "read",
        plain=True,
        valued="-in -out -inform -outform -keyout -key -pass -k -K -iv -connect -days -subj",
        reads="-in -key",
        writes="-out -keyout",
        verbs={
            "enc": "encrypt read",
            "s_client": "connect",
            "s_server": "listen",
            "req": "write",
            "genrsa": "write",
            "rsa": "read",
            "passwd": "print",
        },
    ),
)
_add(
    "gpg gpg2 age rage ccrypt",
    Program(
        "read encrypt",
        "read",
        valued="-r -o -u --recipient --output --passphrase",
        writes="-o --output",
        flags={"--export-secret-keys": "read", "-d": "decode"},
    ),
)
_add("ssh-keygen", Program("write", valued="-t -b -f -C -N -P -O", writes="-f"))
_add(
    "mkfs mkfs.ext4 mkfs.ext3 mkfs.xfs mkfs.btrfs mkfs.vfat mke2fs mkswap wipefs fdisk sfdisk sgdisk parted blkdiscard hdparm nvme diskpart format lvremove vgremove pvremove zpool cryptsetup diskutil",
    Program("destroy write", valued="-t -L -F"),
)
_add("mount umount losetup swapoff swapon", Program("configure"))

# Running things.
_add(
    "sh bash zsh dash ksh ash fish csh tcsh rbash",
    Program("execute", "execute", valued="-c -o -O --rcfile --init-file"),
)
_add("source .", Program("execute", "execute"))
_add("python python2 python3 pypy ipython py", Program("execute", "execute", valued="-c -m -W -X"))
_add(
    "node nodejs deno bun ts-node tsx",
    Program(
        "execute",
        "execute",
        valued="-e -p -r --eval --print --require",
        verbs={
            "run": "execute",
            "install": "install",
            "add": "install",
            "test": "test",
            "x": "install execute",
            "remove": "uninstall",
        },
    ),
)
_add(
    "php lua rscript julia swift osascript groovy scala jshell", Program("execute", "execute", valued="-r -e -l --eval")
)
_add("java", Program("execute", plain=True, valued="-jar -cp -classpath"))
_add(
    "powershell pwsh powershell.exe pwsh.exe cmd cmd.exe wscript cscript mshta rundll32 regsvr32",
    Program("execute", plain=True),
)
_add("eval exec command builtin nohup setsid trap", Program("execute"))
_add(
    "make gmake ninja cmake just task gradle gradlew mvn mvnw ant bazel meson msbuild rake",
    Program(
        "build execute",
        valued="-C -f -j -G -B -S --directory --file --jobs",
        verbs={
            "test": "test",
            "check": "test",
            "install": "install",
            "deploy": "deploy",
            "publish": "publish",
            "clean": "delete build",
            "clippy": "test",
        },
    ),
)
_add(
    "gcc g++ cc c++ clang clang++ ld tsc javac rustc ghc kotlinc swiftc nvcc as nasm",
    Program("build", valued="-o -I -L -l -std -D -x", writes="-o"),
)
_add(
    "pytest tox nox unittest jest vitest mocha rspec phpunit ctest behave cypress karma ava",
    Program("test", valued="-k -m -n -p -c -o -e -s --tb --maxfail --cov"),
)
_add(
    "ruff black flake8 mypy pylint isort eslint prettier tslint rubocop shellcheck bandit pre-commit pyflakes",
    Program("test"),
)
_add(
    "go",
    Program(
        valued="-C",
        verbs={
            "build": "build",
            "test": "test",
            "run": "execute",
            "install": "install",
            "get": "install fetch",
            "mod": "configure fetch",
            "vet": "test",
            "generate": "execute",
            "clean": "delete",
        },
    ),
)
_add(
    "cargo",
    Program(
        valued="--manifest-path -p -Z",
        verbs={
            "build": "build",
            "check": "build",
            "test": "test",
            "run": "execute",
            "install": "install fetch",
            "add": "install",
            "publish": "publish send",
            "clippy": "test",
            "uninstall": "uninstall",
            "yank": "delete publish",
            "login": "login",
        },
    ),
)
_add(
    "dotnet",
    Program(
        verbs={
            "build": "build",
            "test": "test",
            "run": "execute",
            "add": "install",
            "publish": "build",
            "nuget": "publish",
            "restore": "install",
        }
    ),
)

# Packages.
_JS = {"install": "install fetch", "i": "install fetch", "ci": "install fetch", "add": "install fetch", "update": "install fetch", "upgrade": "install fetch", "dlx": "install execute fetch", "exec": "execute", "x": "execute", "run": "execute", "run-script": "execute", "start": "execute", "test": "test", "t": "test", "publish": "publish send", "unpublish": "delete publish", "deprecate": "publish", "uninstall": "uninstall", "remove": "uninstall", "rm": "uninstall", "login": "login", "adduser": "login", "config": "configure", "link": "install", "create": "install execute fetch", "init": "write", "owner": "grant", "access": "grant", "token": "grant", "cache": "list", "audit": "list"}  # fmt: skip
_add("npm pnpm yarn cnpm", Program(valued="--prefix -C --registry --filter -w", verbs=_JS))
_add(
    "npx pnpx bunx uvx pipx",
    Program(
        "install execute fetch",
        valued="-p --package --from --with",
        verbs={"install": "install fetch", "uninstall": "uninstall"},
    ),
)
_PIP = {"install": "install fetch", "download": "fetch", "uninstall": "uninstall", "wheel": "build fetch", "config": "configure", "list": "list", "show": "list", "freeze": "list", "sync": "install fetch", "add": "install fetch", "remove": "uninstall", "publish": "publish send", "run": "execute", "build": "build", "update": "install fetch", "lock": "write", "upload": "publish send", "check": "test", "create": "write", "env": "list", "search": "search"}  # fmt: skip
_add(
    "pip uv poetry pdm pipenv conda mamba micromamba hatch rye",
    Program(
        valued="-r -c -i -t -e -n -p --index-url --extra-index-url --target --requirement --python --directory --project --with",
        reads="-r -c --requirement --constraint",
        verbs={
            **_PIP,
            "pip install": "install fetch",
            "pip uninstall": "uninstall",
            "tool install": "install fetch",
            "env remove": "delete",
        },
    ),
)
_add("twine", Program(verbs={"upload": "publish send"}))
_add(
    "gem bundle bundler composer luarocks cpan cpanm nuget choco scoop winget brew port flatpak snap",
    Program(
        verbs={
            **_PIP,
            "require": "install fetch",
            "push": "publish send",
            "i": "install fetch",
            "upgrade": "install fetch",
            "exec": "execute",
            "yank": "delete publish",
            "tap": "configure fetch",
            "services": "start",
        }
    ),
)
_add(
    "apt apt-get aptitude yum dnf microdnf zypper tdnf apk pkg pkgin xbps-install emerge",
    Program(
        valued="-o -c -t --repo -y0",
        verbs={
            "install": "install fetch",
            "add": "install fetch",
            "in": "install fetch",
            "upgrade": "install fetch",
            "dist-upgrade": "install fetch",
            "full-upgrade": "install fetch",
            "reinstall": "install fetch",
            "localinstall": "install",
            "build-dep": "install fetch",
            "groupinstall": "install fetch",
            "remove": "uninstall",
            "purge": "uninstall delete",
            "del": "uninstall",
            "erase": "uninstall",
            "autoremove": "uninstall",
            "update": "fetch",
            "download": "fetch",
            "source": "fetch",
            "clean": "delete",
            "search": "search",
            "list": "list",
            "show": "list",
        },
    ),
)
_add("pacman", Program(flags={"-S": "install fetch", "-U": "install", "-R": "uninstall"}))
_add(
    "dpkg rpm installer msiexec",
    Program(
        "list",
        flags={
            "-i": "install",
            "-U": "install",
            "-e": "uninstall",
            "-r": "uninstall",
            "-P": "uninstall",
            "--install": "install",
            "--purge": "uninstall",
            "-pkg": "install",
        },
    ),
)
_add(
    "rustup nvm pyenv rbenv asdf sdk volta fnm goenv",
    Program(
        verbs={
            "install": "install fetch",
            "uninstall": "uninstall",
            "update": "install fetch",
            "use": "configure",
            "global": "configure",
        }
    ),
)

# Sources.
_add("git", Program(valued="-C -c --git-dir --work-tree --namespace -m -F -b -u --exec-path", reads="-F", verbs={
    "clone": "fetch write", "fetch": "fetch", "pull": "fetch write", "push": "send publish", "ls-remote": "list connect", "submodule": "fetch",
    "remote": "list", "remote add": "configure", "remote set-url": "configure", "remote remove": "configure", "remote rm": "configure",
    "config": "configure", "credential": "read", "commit": "write", "add": "write", "rm": "delete", "mv": "move", "merge": "write", "rebase": "write",
    "cherry-pick": "write", "revert": "write", "reset": "write", "restore": "write", "checkout": "write", "switch": "write", "clean": "delete",
    "stash": "write", "stash drop": "delete", "stash clear": "delete", "branch": "list", "tag": "list write", "apply": "write", "am": "write", "init": "write",
    "worktree": "write", "worktree remove": "delete", "gc": "delete", "prune": "delete", "reflog": "list", "reflog expire": "delete", "filter-branch": "write delete",
    "filter-repo": "write delete", "update-ref": "write", "send-email": "send", "bundle": "write", "archive": "read", "daemon": "listen", "bisect": "execute",
    "status": "list", "log": "list", "diff": "read", "show": "read", "blame": "read", "grep": "search read", "ls-files": "list", "describe": "list",
    "rev-parse": "list", "shortlog": "list", "update-index": "write", "hook": "execute", "lfs": "fetch", "svn": "fetch"}))  # fmt: skip
_add(
    "svn hg",
    Program(
        verbs={
            "checkout": "fetch write",
            "co": "fetch write",
            "clone": "fetch write",
            "update": "fetch write",
            "commit": "send",
            "push": "send publish",
            "ci": "send",
        }
    ),
)
_add("gh glab hub", Program("connect", valued="-R -t -b -B -H -F -f -X -q --repo --title --body --body-file --method --field --jq --json -n", reads="-F --body-file --input", verbs={
    "pr create": "send publish", "pr merge": "publish send", "pr close": "send", "pr comment": "send publish", "pr review": "grant send", "pr edit": "send", "pr checkout": "fetch write",
    "mr create": "send publish", "mr merge": "publish send", "mr approve": "grant send", "issue create": "send publish", "issue comment": "send publish", "issue close": "send", "issue delete": "delete",
    "repo clone": "fetch write", "repo create": "publish", "repo fork": "publish", "repo delete": "delete destroy", "repo edit": "configure", "repo archive": "configure", "repo sync": "write",
    "release create": "publish send", "release upload": "publish send", "release delete": "delete", "gist create": "publish send", "gist edit": "publish send", "gist delete": "delete",
    "workflow run": "deploy execute", "workflow disable": "disable", "workflow enable": "start", "run rerun": "execute", "run cancel": "stop", "run download": "fetch", "run delete": "delete",
    "secret set": "grant send", "secret delete": "delete", "secret list": "list", "variable set": "configure", "auth login": "login", "auth token": "read", "auth setup-git": "configure",
    "api": "connect", "ssh-key add": "grant", "gpg-key add": "grant", "extension install": "install fetch execute", "ruleset": "list", "pr list": "list", "pr view": "list", "issue list": "list", "issue view": "list"}))  # fmt: skip

# The network.
_add(
    "curl",
    Program(
        "fetch connect",
        hosts="urls",
        valued="-d -H -o -T -F -u -X -A -e -b -c -m -w -x -E -K -Y -y -z -r -Q -P -C -t -U --data --data-raw --data-ascii --data-binary --data-urlencode --header --output --upload-file --form --form-string --user --request --user-agent --referer --cookie --cookie-jar --max-time --write-out --proxy --config --cacert --cert --key --retry --retry-delay --connect-timeout --json --url --resolve --interface --range --proxy-user --unix-socket --output-dir --limit-rate --ciphers --oauth2-bearer --dns-servers --connect-to",
        reads="-T --upload-file -K --config -E --cert --key --cacert",
        writes="-o --output -c --cookie-jar",
        flags={
            **dict.fromkeys(
                (
                    "-d",
                    "--data",
                    "--data-raw",
                    "--data-ascii",
                    "--data-binary",
                    "--data-urlencode",
                    "-F",
                    "--form",
                    "--form-string",
                    "-T",
                    "--upload-file",
                    "--json",
                    "--url-query",
                ),
                "send",
            ),
            "-o": "write",
            "-O": "write",
            "--output": "write",
            "--remote-name": "write",
            "-J": "write",
        },
    ),
)
_add(
    "wget wget2 aria2c axel",
    Program(
        "fetch connect write",
        hosts="urls",
        valued="-O -o -P -U -i -a -e -T -t -Q --output-document --directory-prefix --post-data --post-file --body-data --body-file --header --user-agent --user --password --method --input-file --tries --timeout",
        reads="--post-file --body-file -i --input-file",
        writes="-O --output-document -o -P --directory-prefix",
        flags={"--post-data": "send", "--post-file": "send", "--body-data": "send", "--body-file": "send"},
    ),
)
_add(
    "http https httpie xh xhs curlie",
    Program(
        "fetch connect",
        hosts="first",
        verbs={
            "post": "send connect",
            "put": "send connect",
            "patch": "send connect",
            "delete": "send delete connect",
            "get": "fetch connect",
        },
    ),
)
_add(
    "iwr irm invoke-webrequest invoke-restmethod start-bitstransfer bitsadmin certutil",
    Program(
        "fetch connect",
        hosts="urls",
        plain=True,
        valued="-Uri -Method -Body -OutFile -InFile -Headers -Source -Destination",
        reads="-InFile",
        writes="-OutFile -Destination",
        flags={"-Body": "send", "-InFile": "send"},
    ),
)
_add(
    "nc ncat netcat nc.traditional nc.openbsd",
    Program(
        "connect",
        hosts="first",
        valued="-p -e -c -w -s -x -X -q -i -g -G --exec --sh-exec --proxy",
        flags={
            "-l": "listen",
            "--listen": "listen",
            "-e": "execute",
            "-c": "execute",
            "--exec": "execute",
            "--sh-exec": "execute",
            "-z": "scan",
        },
    ),
)
_add("socat", Program("connect", plain=True))
_add(
    "telnet ftp tftp lftp ncftp sftp rlogin rsh mosh",
    Program("connect", hosts="first", valued="-l -p -P -u -e -c -i -b -o -F", reads="-i -b", flags={}),
)
_add(
    "ssh autossh",
    Program(
        "connect",
        hosts="first",
        valued="-b -c -D -e -F -i -I -J -l -L -m -o -O -p -Q -R -S -w -W -E -B",
        reads="-i -F",
        flags={"-R": "listen", "-D": "listen", "-L": "listen"},
    ),
)
_add("scp", Program("connect copy", "copy", hosts="remote", valued="-c -F -i -J -l -o -P -S", reads="-i -F"))
_add(
    "rsync",
    Program(
        "copy read write",
        "copy",
        hosts="remote",
        valued="-e -f --rsh --exclude --include --exclude-from --include-from --files-from --password-file --port --bwlimit --rsync-path",
        flags={"--delete": "delete", "--remove-source-files": "delete"},
    ),
)
_add(
    "rclone",
    Program(
        "copy",
        "copy",
        hosts="remote",
        valued="--config --include --exclude --transfers",
        verbs={
            "copy": "copy send",
            "sync": "copy send delete",
            "move": "move send",
            "delete": "delete",
            "purge": "delete destroy",
            "config": "configure",
            "ls": "list",
            "serve": "listen",
            "copyto": "copy send",
            "mount": "configure",
            "rcat": "send",
        },
    ),
)
_add("ssh-copy-id", Program("grant send connect", hosts="first", valued="-i -p -o", reads="-i"))
_add("dig nslookup host drill kdig resolvectl", Program("connect", hosts="all", valued="-t -p -x -f -k -y -b -c"))
_add(
    "ping ping6 traceroute tracepath mtr fping hping3",
    Program("connect", hosts="first", valued="-c -i -s -W -w -t -I -n -p"),
)
_add(
    "nmap masscan zmap rustscan nikto gobuster ffuf dirb sqlmap hydra medusa wfuzz nuclei",
    Program("scan connect", hosts="all", valued="-p -o -u -w -oN -oX -oA -oG --script -l -L -P -t -T -T0", plain=True),
)
_add(
    "mail mailx sendmail mutt msmtp swaks ssmtp",
    Program(
        "send", valued="-s -a -r -c -b -t -A --to --from --server --header --body --attach", reads="-a -A --attach"
    ),
)
_add("whois", Program("connect"))
_add(
    "ngrok cloudflared localtunnel lt bore frpc chisel serveo pagekite zrok tailscale gost ligolo inlets telebit pinggy",
    Program("connect listen publish"),
)
_add(
    "iptables ip6tables nft ufw firewall-cmd pfctl netsh ip ifconfig route iwconfig nmcli",
    Program(
        "configure",
        valued="-A -D -I -F -t -j -p -s -d --dport",
        flags={"-F": "disable", "--flush": "disable", "-X": "disable", "-P": "configure"},
        verbs={"disable": "disable", "reset": "disable", "allow": "grant", "flush": "disable"},
    ),
)
_add("tcpdump tshark wireshark dumpcap ettercap", Program("watch read", valued="-i -w -r -c -s", writes="-w"))
_add("strace ltrace gdb lldb dtrace perf", Program("execute watch", valued="-p -o -e -s"))
_add("syncthing croc magic-wormhole wormhole transfer ffsend onionshare", Program("send connect"))

# Databases.
_add(
    "psql pgcli",
    Program(
        "query connect",
        valued="-c -f -h -U -d -p -o -v --command --file --host --username --dbname --port --output",
        reads="-f --file",
        writes="-o --output",
    ),
)
_add("mysql mariadb mycli", Program("query connect", valued="-e -h -u -P -D --execute --host --user --port --database"))
_add("sqlite3 sqlite duckdb litecli", Program("query", valued="-cmd -init -separator", plain=True))
_add(
    "bq",
    Program(
        "query connect",
        valued="--project_id --dataset_id --location",
        verbs={
            "query": "query",
            "rm": "delete destroy",
            "load": "write",
            "extract": "read send",
            "cp": "copy",
            "ls": "list",
            "mk": "write",
        },
    ),
)
_add(
    "sqlcmd isql sqlplus clickhouse-client snowsql cockroach trino presto-cli beeline cqlsh usql tsql",
    Program("query connect", valued="-Q -q -e -f -S -U -P -d --query --execute --host --user -i", reads="-i -f"),
)
_add("clickhouse", Program("query connect", valued="-q --query --host --user"))
_add(
    "mongo mongosh redis-cli influx etcdctl consul memcached-tool",
    Program("query connect", valued="-h -p -a -n -u --eval --host --port --uri"),
)
_add(
    "pg_dump pg_dumpall mysqldump mongodump mongoexport mydumper",
    Program(
        "read connect query",
        valued="-h -U -d -p -f -u -t -n -F -o --host --username --dbname --file --out --uri --db",
        writes="-f --file -o --out -r --result-file",
    ),
)
_add(
    "pg_restore mongorestore mongoimport",
    Program("write connect", "read", valued="-h -U -d -p -u --host --dbname --uri --db"),
)
_add("dropdb", Program("delete destroy connect", valued="-h -U -p"))
_add("createdb createuser dropuser", Program("write connect", valued="-h -U -p"))

# Clouds and clusters.
_CLOUD = "--region --profile --project --output --query --endpoint-url --subscription -g -n -o --resource-group --zone --format --filter"
_add(
    "aws aws2 gcloud az doctl ibmcloud oci aliyun linode-cli hcloud scw exo s3cmd gsutil vultr-cli gam",
    Program("connect", valued=_CLOUD),
)
_add(
    "flyctl fly railway render heroku vercel netlify wrangler firebase supabase eb sam cdk sls serverless amplify surge",
    Program(
        "connect",
        valued="-a --app -t --token -e --project",
        verbs={
            "deploy": "deploy publish send",
            "destroy": "delete destroy",
            "delete": "delete destroy",
            "rm": "delete",
            "remove": "delete",
            "down": "delete stop",
            "login": "login",
            "up": "deploy",
            "secrets": "configure",
            "apps destroy": "delete destroy",
            "volumes destroy": "delete destroy",
            "volume delete": "delete destroy",
            "publish": "deploy publish send",
            "logs": "read",
            "restart": "stop start",
        },
    ),
)
_add("kubectl oc k kubecolor", Program("connect", valued="-n -f -l -o -c -p -k -s --namespace --context --filename --selector --output --container --kubeconfig --cluster --user --as --token --server", reads="-f --filename -k --kustomize --kubeconfig", verbs={
    "get": "list", "describe": "list", "logs": "read", "top": "list", "delete": "delete", "drain": "stop", "cordon": "stop", "scale": "configure", "apply": "deploy write", "create": "deploy write", "replace": "deploy write", "patch": "write configure", "edit": "write", "set": "configure", "rollout": "deploy", "rollout undo": "deploy", "rollout restart": "stop start",
    "exec": "execute", "run": "execute deploy", "debug": "execute", "attach": "execute", "cp": "copy", "port-forward": "listen connect", "proxy": "listen", "expose": "publish", "label": "configure", "annotate": "configure", "taint": "configure", "auth": "list", "config": "configure", "certificate approve": "grant", "create rolebinding": "grant", "create clusterrolebinding": "grant", "create role": "grant", "create token": "grant", "adm policy": "grant"}))  # fmt: skip
_add(
    "helm",
    Program(
        "connect",
        valued="-n -f --namespace --values --set --version --repo",
        reads="-f --values",
        verbs={
            "install": "deploy install fetch",
            "upgrade": "deploy",
            "uninstall": "delete",
            "delete": "delete",
            "rollback": "deploy",
            "template": "read",
            "repo": "configure",
            "pull": "fetch",
            "push": "publish send",
            "list": "list",
        },
    ),
)
_add(
    "terraform tofu terragrunt",
    Program(
        plain=True,
        valued="-chdir -var -var-file -target -out -state",
        verbs={
            "apply": "deploy write",
            "destroy": "delete destroy",
            "plan": "read",
            "init": "install fetch",
            "import": "write",
            "state": "list",
            "state rm": "delete",
            "state push": "write",
            "taint": "write",
            "workspace delete": "delete",
            "output": "read",
            "show": "read",
            "validate": "test",
            "fmt": "write",
            "force-unlock": "configure",
        },
    ),
)
_add(
    "pulumi",
    Program(
        verbs={
            "up": "deploy write",
            "destroy": "delete destroy",
            "preview": "read",
            "stack rm": "delete",
            "config": "configure",
        }
    ),
)
_add(
    "ansible ansible-playbook salt chef-client puppet knife",
    Program("deploy execute connect", valued="-i -m -a -u -e -l -t", reads="-i"),
)
_add("docker podman nerdctl buildah", Program(valued="-H -c --context -v -p -e -w -u -f -t --name --network --volume --mount --publish --env --env-file --entrypoint --user --workdir --file --tag --pid --cap-add --security-opt --device --platform --restart -l --label -m --memory --cpus --ipc --hostname -h --userns", reads="--env-file", verbs={
    "run": "execute start", "exec": "execute", "create": "write", "start": "start", "stop": "stop", "kill": "stop", "restart": "stop start", "pause": "stop", "rm": "delete", "rmi": "delete", "prune": "delete", "build": "build", "buildx": "build", "pull": "fetch", "push": "publish send", "login": "login", "cp": "copy", "save": "write", "load": "read", "import": "read", "export": "write", "commit": "write", "tag": "write", "ps": "list", "images": "list", "logs": "read", "inspect": "read",
    "system prune": "delete destroy", "volume rm": "delete destroy", "volume prune": "delete destroy", "volume create": "write", "network rm": "delete", "network create": "write", "image rm": "delete", "image prune": "delete", "container rm": "delete", "container prune": "delete", "container stop": "stop",
    "compose up": "start", "compose down": "stop delete", "compose exec": "execute", "compose run": "execute", "compose build": "build", "compose rm": "delete", "compose pull": "fetch", "compose stop": "stop", "compose logs": "read", "compose ps": "list", "swarm": "configure", "stack deploy": "deploy", "stack rm": "delete"}))  # fmt: skip
_add(
    "docker-compose podman-compose",
    Program(
        valued="-f -p --file --project-name --profile",
        reads="-f --file",
        verbs={
            "up": "start",
            "down": "stop delete",
            "exec": "execute",
            "run": "execute",
            "build": "build",
            "rm": "delete",
            "pull": "fetch",
            "stop": "stop",
            "logs": "read",
            "ps": "list",
            "restart": "stop start",
        },
    ),
)
_add(
    "vault",
    Program(
        "connect",
        verbs={
            "read": "read",
            "kv get": "read",
            "kv put": "write",
            "kv delete": "delete",
            "write": "write",
            "delete": "delete",
            "login": "login",
            "policy write": "grant",
            "token create": "grant",
            "list": "list",
        },
    ),
)
_add(
    "op bw pass security secret-tool lpass gopass keyring chamber doppler infisical aws-vault keepassxc-cli",
    Program(
        "read",
        verbs={
            "add-generic-password": "write",
            "delete-generic-password": "delete",
            "generate": "write",
            "rm": "delete",
            "login": "login",
        },
    ),
)

# The machine: processes, services, accounts, schedules.
_add("kill killall pkill skill taskkill stop-process xkill", Program("stop", valued="-s -n -u -t -g --signal"))
_add("shutdown reboot halt poweroff init telinit stop-computer restart-computer", Program("stop"))
_add(
    "systemctl service rc-service sv supervisorctl launchctl sc pm2 initctl",
    Program(
        "list",
        valued="-t -H -M --type --host",
        verbs={
            "start": "start",
            "stop": "stop",
            "restart": "stop start",
            "reload": "start",
            "disable": "disable stop",
            "mask": "disable stop",
            "enable": "start schedule",
            "kill": "stop",
            "poweroff": "stop",
            "reboot": "stop",
            "edit": "configure",
            "set-default": "configure",
            "daemon-reload": "configure",
            "load": "start schedule",
            "unload": "disable stop",
            "bootstrap": "start schedule",
            "bootout": "disable stop",
            "remove": "delete",
            "delete": "delete disable",
            "create": "schedule write",
            "isolate": "stop",
        },
    ),
)
_add("update-rc.d chkconfig", Program("schedule configure"))
_add("crontab", Program("schedule write", "read", valued="-u", flags={"-l": "list", "-r": "delete", "-e": "schedule"}))
_add("at batch schtasks anacron systemd-run", Program("schedule execute", valued="-f -t -q"))
_add(
    "useradd adduser userdel deluser usermod groupadd groupdel groupmod gpasswd passwd chpasswd chsh chage visudo vipw net dscl newusers addgroup new-localuser",
    Program("account grant write", valued="-u -g -G -s -d -c -p -e -m0"),
)
_add("sudo doas su pkexec runas", Program("execute"))
_add(
    "setenforce apparmor_parser aa-disable aa-teardown auditctl spctl csrutil set-mppreference",
    Program("disable configure"),
)
_add("insmod modprobe rmmod kextload kmod", Program("install configure"))
_add(
    "reg regedit set-itemproperty defaults gsettings dconf",
    Program(
        "configure write",
        verbs={"query": "read", "read": "read", "delete": "delete", "add": "write configure", "export": "read"},
    ),
)
_add("screen tmux disown bg", Program("execute", valued="-S -t -L"))
_add("export set unset declare local readonly typeset alias unalias shopt setopt", Program("configure"))
_add("cd pushd popd", Program())
_add(
    "vssadmin wbadmin bcdedit wevtutil fsutil cipher",
    Program("configure", verbs={"delete": "delete destroy", "cl": "delete disable", "clear-log": "delete disable"}),
)
_add("logger", Program("write"))
_add("xdg-open open start explorer", Program("execute"))
_add(
    "import scrot screencapture gnome-screenshot xwd ffmpeg arecord xinput xclip pbpaste xsel wl-paste",
    Program("watch read"),
)
_add(
    "claude codex gemini aider goose opencode cursor-agent copilot amp q qwen crush llm ollama",
    Program("execute connect", valued="-p -m --model --prompt -c"),
)
_add(
    "litellm vllm llama-server mlflow jupyter gunicorn uvicorn flask streamlit gradio http-server serve nginx apache2 httpd caddy",
    Program("listen execute", valued="-p -b -h --port --host --bind"),
)
_add("xargs parallel", Program("execute"))
_add(
    "time timeout nice ionice stdbuf watch unbuffer script env chroot nsenter unshare flock firejail bwrap",
    Program("execute"),
)
