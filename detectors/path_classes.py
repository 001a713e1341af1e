"""What kind of file a path names: one pattern per class, tested on the resolved path; a file may be of several."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

# Each is searched for in the path without regard to case; `^|/` is where a name begins.
PATTERNS: Mapping[str, tuple[str, ...]] = {
    "env": (
        r"(?:^|/)\.env(?:rc|\.(?!example|sample|template|dist|defaults?|tpl)[\w.-]+)?$",
        r"(?:^|/)[\w-]+\.env$",
    ),
    "shell-profile": (
        (
            r"(?:^|/)\.(?:bashrc|bash_profile|bash_login|bash_logout|bash_aliases|profile|zshrc|zshenv|zprofile|"
            r"zlogin|zlogout|kshrc|cshrc|tcshrc|inputrc|xprofile|xinitrc|xsessionrc)$"
        ),
        r"^/etc/(?:profile|bash\.bashrc|bashrc|zsh/\w+|zshrc|zshenv|environment)$",
        r"^/etc/profile\.d/",
        r"/fish/(?:config\.fish$|conf\.d/)",
        r"profile\.ps1$",
    ),
    "local-config": (
        r"(?:^|/)[\w.-]+\.local\.(?:json|ya?ml|toml|md|py|js|ts|php|properties)$",
        r"(?:^|/)\.?local\.settings\.json$",
        r"(?:^|/)local_settings\.py$",
    ),
    "mcp-config": (
        r"(?:^|/)\.?mcp(?:[_.-]?(?:config|settings|servers))?\.json$",
        r"(?:^|/)claude_desktop_config\.json$",
        r"(?:^|/)cline_mcp_settings\.json$",
    ),
    "cloud-credentials": (
        r"(?:^|/)\.aws/(?:credentials|config|sso/cache/.+|cli/cache/.+)$",
        r"(?:^|/)\.aws$",
        r"(?:^|/)\.azure(?:/|$)",
        (
            r"/gcloud(?:/(?:application_default_credentials\.json|credentials\.db|access_tokens\.db|"
            r"legacy_credentials/.+|configurations/.+))?$"
        ),
        r"(?:^|/)(?:gcp|google|service)[_-]?(?:account|credentials?|sa|key)[\w-]*\.json$",
        r"(?:^|/)application_default_credentials\.json$",
        r"(?:^|/)\.(?:oci|bluemix|aliyun|tccli|doctl|linode-cli|hcloud|scw)(?:/|$)",
        r"(?:^|/)\.terraform\.d/credentials",
        r"(?:^|/)\.terraformrc$",
        r"(?:^|/)credentials\.tfrc\.json$",
        r"(?:^|/)terraform\.tfstate(?:\.backup)?$",
        r"(?:^|/)\.(?:boto|s3cfg)$",
        (
            r"(?:^|/)\.config/(?:rclone/rclone\.conf|doctl/config\.yaml|hcloud/cli\.toml|scw/config\.yaml|heroku|"
            r"fly)"
        ),
        r"(?:^|/)\.fly/config\.yml$",
    ),
    "package-token": (
        (
            r"(?:^|/)\.(?:npmrc|yarnrc|yarnrc\.yml|pypirc|netrc|gem/credentials|cargo/credentials(?:\.toml)?|"
            r"composer/auth\.json|m2/settings(?:-security)?\.xml|gradle/gradle\.properties|nuget/nuget\.config|"
            r"bundle/config|condarc|git-credentials|config/gh/hosts\.yml|config/glab-cli/config\.yml|config/hub)$"
        ),
        r"(?:^|/)_netrc$",
        r"(?:^|/)nuget\.config$",
        r"(?:^|/)pip/pip\.conf$",
    ),
    "agent-credentials": (
        r"(?:^|/)\.claude/\.credentials\.json$",
        r"(?:^|/)\.claude\.json$",
        r"(?:^|/)\.codex/auth\.json$",
        r"(?:^|/)\.gemini/(?:oauth_creds|google_accounts)\.json$",
        r"/github-copilot/(?:hosts|apps)\.json$",
        r"(?:^|/)\.config/(?:openai|anthropic)(?:/|$)",
        r"(?:^|/)\.(?:huggingface|cache/huggingface)/token$",
    ),
    "ssh-key": (
        r"(?:^|/)\.ssh(?:/(?!known_hosts|config$).*)?$",
        r"(?:^|/)id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?(?:\.pub)?$",
        r"^/etc/ssh/ssh_host_\w+_key$",
        r"(?:^|/)authorized_keys2?$",
    ),
    "ssh-config": (
        r"(?:^|/)\.ssh/(?:config|known_hosts2?)$",
        r"^/etc/ssh/sshd?_config(?:\.d/.*)?$",
    ),
    "private-key": (
        r"\.(?:pem|key|p12|pfx|jks|keystore|ppk|p8|asc|gpg|kdb)$",
        r"(?:^|/)\.gnupg(?:/|$)",
        r"/private[_-]?key[\w.-]*$",
        r"^/etc/(?:ssl|pki)(?:/.*)?/private(?:/|$)",
        r"^/etc/letsencrypt/(?:live|archive|keys)(?:/|$)",
    ),
    "password-store": (
        r"\.(?:kdbx?|agilekeychain|opvault|1pux|psafe3)$",
        r"(?:^|/)\.password-store(?:/|$)",
        r"/keychains?(?:/|$)",
        r"(?:^|/)login\.keychain(?:-db)?$",
        r"/keyrings?(?:/|$)",
        (
            r"(?:^|/)\.(?:pgpass|my\.cnf|mylogin\.cnf|vault-token|htpasswd|netrc|git-credentials|"
            r"docker/config\.json|dockercfg)$"
        ),
        r"/microsoft/(?:credentials|protect|vault)(?:/|$)",
        r"/config/(?:sam|security|system)$",
        r"ntds\.dit$",
        r"/bitwarden(?: cli)?/data\.json$",
        (
            r"(?:^|/)(?:passwords?|credentials?|logins?)(?:\.(?:txt|csv|json|xlsx?|docx?|ya?ml|toml|ini|db|kdbx|"
            r"old|bak))?$"
        ),
    ),
    "browser-data": (
        (
            r"/(?:chrome|chromium|google-chrome|brave-browser|brave|microsoft-edge|edge|vivaldi|opera(?: stable)?|"
            r"arc)/(?:.*/)?(?:user data|default|profile \d+|login data|cookies|web data|history|local state|"
            r"local storage)(?:/|$)"
        ),
        r"(?:^|/)\.?mozilla/firefox(?:/|$)",
        r"/firefox/profiles(?:/|$)",
        (
            r"(?:^|/)(?:logins\.json|key[34]\.db|cookies\.sqlite|places\.sqlite|login data|"
            r"cookies\.binarycookies)$"
        ),
        r"(?:^|/)\.config/(?:google-chrome|chromium|bravesoftware|microsoft-edge)(?:/|$)",
        r"/safari/(?:cookies|history\.db|localstorage)",
    ),
    "wallet": (
        r"(?:^|/)wallet\.(?:dat|json|aes\.json)$",
        (
            r"(?:^|/)\.(?:bitcoin|ethereum|electrum|monero|solana|litecoin|dogecoin|zcash|foundry/keystores)(?:/|"
            r"$)"
        ),
        (
            r"/(?:exodus|atomic|electrum|metamask|ledger live|ethereum|bitcoin)/(?:.*/)?(?:wallets?|keystore|"
            r"exodus\.wallet|leveldb)(?:/|$)"
        ),
        r"(?:^|/)utc--\d",
        r"(?:^|/)(?:seed|mnemonic|recovery)[_-]?(?:phrase|words)?\.(?:txt|json)$",
    ),
    "shell-history": (
        (
            r"(?:^|/)\.(?:bash|zsh|sh|fish|python|node_repl|psql|mysql|sqlite|rediscli|mongo|irb|ash|ksh|"
            r"csh)_history$"
        ),
        r"(?:^|/)\.(?:zhistory|histfile|history|lesshst|viminfo)$",
        r"/fish/fish_history$",
        r"consolehost_history\.txt$",
    ),
    "notes": (
        r"(?:^|/)(?:notes?|todo|journal|diary|scratch|ideas?|memo)s?\.(?:md|txt|org|rst|docx?)$",
        r"(?:^|/)(?:notes|obsidian|vault|journal)/.+\.(?:md|txt|org)$",
        r"/apple notes",
        r"/notestore\.sqlite$",
    ),
    "script": (
        r"\.(?:sh|bash|zsh|ksh|fish|ps1|psm1|bat|cmd|vbs|command|awk|pl|expect)$",
        r"(?:^|/)(?:scripts?|bin)/[^/.]+$",
    ),
    "makefile": (
        r"(?:^|/)(?:gnu)?makefile(?:\.\w+)?$",
        r"\.mk$",
        (
            r"(?:^|/)(?:justfile|taskfile\.ya?ml|rakefile|cmakelists\.txt|noxfile\.py|tox\.ini|dodo\.py|tasks\.py|"
            r"gulpfile\.js|gruntfile\.js|build\.gradle(?:\.kts)?|pom\.xml)$"
        ),
    ),
    "ci-config": (
        r"(?:^|/)\.github/(?:workflows|actions)/",
        r"(?:^|/)\.gitlab-ci\.ya?ml$",
        r"(?:^|/)\.gitlab/ci/",
        r"(?:^|/)(?:\.circleci|\.buildkite|\.teamcity|\.woodpecker|\.drone|\.semaphore)/",
        (
            r"(?:^|/)(?:jenkinsfile[\w.-]*|azure-pipelines[\w.-]*\.ya?ml|bitbucket-pipelines\.ya?ml|"
            r"\.travis\.ya?ml|\.drone\.ya?ml|appveyor\.ya?ml|cloudbuild\.ya?ml|buildspec\.ya?ml|"
            r"\.pre-commit-config\.yaml|codefresh\.ya?ml|\.cirrus\.yml)$"
        ),
    ),
    "agent-config": (
        (
            r"(?:^|/)(?:claude(?:\.local)?|agents(?:\.override)?|gemini|copilot-instructions|skill|qwen|warp|"
            r"conventions)\.md$"
        ),
        (
            r"(?:^|/)\.(?:claude|codex|gemini|cursor|windsurf|clinerules|cline|continue|aider[\w.]*|goose|amazonq|"
            r"kiro|opencode|roo|copilot|junie|trae|augment)(?:/|$)"
        ),
        r"(?:^|/)\.(?:cursorrules|windsurfrules|clinerules|roorules|goosehints|aider\.conf\.yml)$",
        r"(?:^|/)\.github/(?:copilot-instructions\.md|instructions/|prompts/|chatmodes/|agents/)",
        r"^/etc/(?:claude-code|codex)(?:/|$)",
        r"/claudecode/managed-settings\.json$",
        r"(?:^|/)managed-settings\.json$",
    ),
    "permission-file": (
        r"(?:^|/)\.claude/settings(?:\.local)?\.json$",
        r"(?:^|/)managed-settings\.json$",
        r"(?:^|/)\.codex/(?:config\.toml|rules/.+|requirements\.toml)$",
        r"(?:^|/)\.gemini/(?:settings\.json|policies/.+|trustedfolders\.json)$",
        r"(?:^|/)\.cursor/(?:cli(?:-config)?|permissions|sandbox)\.json$",
        r"(?:^|/)\.cursorignore$",
        r"(?:^|/)\.vscode/settings\.json$",
        r"(?:^|/)\.(?:gemini|aider|codeium)ignore$",
        r"(?:^|/)codeowners$",
        r"(?:^|/)opencode\.jsonc?$",
        r"(?:^|/)\.config/goose/(?:permission|config)\.ya?ml$",
        r"^/etc/(?:selinux|apparmor(?:\.d)?|polkit-1)(?:/|$)",
        r"^/etc/security/",
    ),
    "hook": (
        r"(?:^|/)\.git/hooks(?:/|$)",
        r"(?:^|/)\.(?:husky|githooks)(?:/|$)",
        r"(?:^|/)\.(?:claude|codex|cursor|gemini)/hooks(?:/|\.json$)",
        r"(?:^|/)lefthook\.ya?ml$",
        r"(?:^|/)\.pre-commit-config\.yaml$",
    ),
    "telemetry-config": (
        (
            r"(?:^|/)(?:otel|otelcol|opentelemetry|collector|telemetry)[\w.-]*\.(?:ya?ml|json|toml|conf|env|"
            r"properties)$"
        ),
        r"/otelcol(?:-contrib)?/",
        (
            r"^/etc/(?:audit|rsyslog|syslog|fluent|fluent-bit|td-agent|vector|promtail|filebeat|auditbeat|"
            r"datadog-agent|falco|osquery)[\w.-]*(?:/|$)"
        ),
        r"^/etc/(?:rsyslog|syslog|auditd|journald|fluentd)\.conf$",
        r"^/etc/systemd/journald\.conf",
        r"sysmon[\w.-]*\.xml$",
        r"(?:^|/)(?:fluent-bit|fluentd|promtail|filebeat|vector)\.(?:ya?ml|conf|toml)$",
    ),
    "git-internal": (r"(?:^|/)\.git(?:/(?!hooks(?:/|$)).*)?$",),
    "git-config": (
        r"(?:^|/)\.gitconfig$",
        r"(?:^|/)\.git/config(?:\.worktree)?$",
        r"(?:^|/)\.config/git/",
        r"^/etc/gitconfig$",
        r"(?:^|/)\.git(?:attributes|modules)$",
    ),
    "kube-config": (
        r"(?:^|/)\.kube(?:/|$)",
        r"(?:^|/)kubeconfig[\w.-]*$",
        r"\.kubeconfig$",
        r"^/etc/kubernetes/(?:\w+\.conf$|pki/)",
        r"^(?:/var)?/run/secrets/kubernetes\.io/",
        r"^/etc/rancher/k3s/k3s\.yaml$",
    ),
    "container-config": (
        r"(?:^|/)(?:dockerfile|containerfile)(?:\.[\w.-]+)?$",
        r"\.dockerfile$",
        r"(?:^|/)(?:docker-)?compose(?:[.-][\w-]+)*\.ya?ml$",
        r"(?:^|/)\.docker/(?:config|daemon)\.json$",
        r"^/etc/docker/",
        r"(?:^|/)(?:docker|containerd|podman|crio)\.sock$",
        r"(?:^|/)\.devcontainer(?:/|$)",
        r"(?:^|/)chart\.yaml$",
    ),
    "infra-config": (
        r"\.(?:tf|tfvars|hcl|bicep)(?:\.json)?$",
        r"(?:^|/)(?:serverless|pulumi|template|cdk|ansible)[\w.-]*\.(?:ya?ml|json|cfg)$",
        r"(?:^|/)(?:k8s|kubernetes|manifests|helm|terraform|deploy)/.+\.ya?ml$",
    ),
    "database-file": (
        r"\.(?:db|sqlite3?|db3|mdb|accdb|frm|ibd|myd|mdf|ldf|rdb|ldb|duckdb|dump)$",
        r"^/var/lib/(?:mysql|postgresql|mongodb|redis|mariadb|elasticsearch|clickhouse)(?:/|$)",
        r"\.sql(?:\.gz)?$",
    ),
    "backup": (
        r"\.(?:bak|backup|old|orig|snapshot|dump|vhdx?|vmdk|bkf)(?:\.\w{2,4})?$",
        r"(?:^|/)(?:backups?|snapshots?|dumps?)(?:/|$)",
        r"(?:^|/)[\w-]*backup[\w-]*\.(?:tar|tgz|zip|gz|sql|zst|7z|bz2|xz)",
        r"(?:^|/)system volume information(?:/|$)",
    ),
    "log": (
        r"\.log(?:\.\d+)?(?:\.gz)?$",
        r"^/var/log(?:/|$)",
        r"(?:^|/)logs?/[^/]+$",
        r"(?:^|/)(?:wtmp|btmp|lastlog|utmp|syslog|auth\.log|audit\.log)$",
        r"\.evtx$",
        r"/winevt/logs(?:/|$)",
    ),
    "system-account": (
        r"^/etc/(?:passwd|shadow|gshadow|group|sudoers|master\.passwd|security/opasswd)-?$",
        r"^/etc/sudoers\.d(?:/|$)",
        r"^/private/etc/(?:sudoers|master\.passwd|passwd)",
        r"/system32/config/sam$",
        r"^/etc/doas\.conf$",
        r"^/etc/pam\.d(?:/|$)",
    ),
    "system-config": (
        r"^/(?:private/)?etc(?:/|$)",
        r"^[a-z]:/windows/system32(?:/|$)",
        r"^/(?:system|library)/(?:.*/)?(?:launchdaemons|preferences|extensions)(?:/|$)",
        r"^/boot(?:/|$)",
        r"^/(?:proc|sys)(?:/|$)",
        r"^/lib/modules(?:/|$)",
        r"/nginx/.+\.conf$",
        r"/apache2/.+\.conf$",
    ),
    "system-binary": (
        r"^/(?:usr/(?:local/)?)?s?bin(?:/|$)",
        r"^/(?:usr/)?lib(?:32|64|x32)?(?:/|$)",
        r"^[a-z]:/windows/(?:system32|syswow64)(?:/|$)",
    ),
    "device": (
        r"^/dev/(?!null$|shm|tcp/|udp/|stdin$|stdout$|stderr$|tty|zero$|u?random$|fd/).+",
        r"^//[.]/physicaldrive\d",
        r"^/dev$",
    ),
    "process": (
        r"^/proc/(?:\d+|self|\*|\$\w+)/(?:environ|mem|maps|cmdline|fd|root|cwd|exe)",
        r"^/proc/(?:kcore|sysrq-trigger|sys/)",
    ),
    "cron": (
        r"^/etc/(?:cron\.[\w]+|crontab|anacrontab|at\.allow)(?:/|$)",
        r"^/var/spool/(?:cron|at|anacron)(?:/|$)",
        r"(?:^|/)crontab(?:\.txt)?$",
        r"/system32/tasks(?:/|$)",
        r"\.timer$",
    ),
    "startup": (
        (
            r"^/etc/(?:init\.d|rc\.local|rc\d\.d|init|inittab|xdg/autostart|ld\.so\.preload|ld\.so\.conf(?:\.d)?|"
            r"update-motd\.d)(?:/|$)"
        ),
        r"(?:^|/)systemd/(?:system|user)(?:/|$)",
        r"\.service$",
        r"/(?:launchagents|launchdaemons)(?:/|$)",
        r"(?:^|/)\.config/autostart(?:/|$)",
        r"/start menu/programs/startup(?:/|$)",
        r"(?:^|/)(?:sitecustomize|usercustomize)\.py$",
        r"\.pth$",
    ),
    "hosts-file": (
        r"^/(?:private/)?etc/(?:hosts(?:\.allow|\.deny)?|resolv\.conf|nsswitch\.conf|host\.conf)$",
        r"/drivers/etc/hosts$",
    ),
    "secrets-dir": (
        r"(?:^|/)\.?(?:secrets?|credentials?|private|vault|certs?|keys)(?:/|$)",
        r"^(?:/var)?/run/secrets(?:/|$)",
        (
            r"(?:^|/)[\w-]*(?:secrets?|credentials?)[\w-]*\.(?:ya?ml|json|toml|env|ini|txt|xml|properties|conf|"
            r"cfg|enc|key)$"
        ),
    ),
    "source": (
        (
            r"\.(?:py|pyi|ipynb|js|jsx|mjs|cjs|ts|tsx|vue|svelte|java|kt|kts|scala|go|rs|rb|php|c|h|cc|cpp|cxx|"
            r"hpp|cs|fs|swift|m|mm|ex|exs|erl|hs|lua|r|jl|dart|clj|groovy|sol|zig|html|css|scss)$"
        ),
    ),
    "test": (
        r"(?:^|/)(?:tests?|__tests__|specs?)(?:/|$)",
        r"(?:^|/)(?:test_[\w-]+|[\w-]+_test|conftest)\.\w+$",
        r"\.(?:test|spec)\.\w+$",
    ),
    "dependency-lock": (
        (
            r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?|"
            r"poetry\.lock|uv\.lock|pdm\.lock|pipfile\.lock|cargo\.lock|gemfile\.lock|composer\.lock|go\.sum|"
            r"mix\.lock|pubspec\.lock|flake\.lock|conda-lock\.yml|packages\.lock\.json|podfile\.lock|"
            r"gradle\.lockfile)$"
        ),
    ),
    "dependency-manifest": (
        (
            r"(?:^|/)(?:package\.json|pyproject\.toml|setup\.(?:py|cfg)|requirements[\w.-]*\.(?:txt|in)|"
            r"constraints[\w.-]*\.txt|pipfile|environment\.ya?ml|cargo\.toml|gemfile|composer\.json|go\.mod|"
            r"mix\.exs|pubspec\.yaml|podfile|pom\.xml|build\.gradle(?:\.kts)?|[\w.-]+\.csproj)$"
        ),
    ),
    "document": (
        r"\.(?:docx?|xlsx?|pptx?|pdf|odt|ods|rtf|csv|tsv|eml|msg|pst|mbox)$",
        r"(?:^|/)(?:documents|desktop|downloads|pictures|onedrive|dropbox|icloud drive)(?:/|$)",
    ),
    "mail": (
        r"\.(?:eml|msg|pst|ost|mbox)$",
        r"(?:^|/)(?:\.?maildir|\.thunderbird|mail)/",
        r"^/var/(?:spool/)?mail(?:/|$)",
    ),
    "archive": (r"\.(?:tar|tgz|tar\.\w+|zip|gz|bz2|xz|zst|7z|rar|jar|war|whl|deb|rpm|apk|dmg|iso|pkg)$",),
}

_COMPILED = tuple((name, re.compile("|".join(patterns), re.I)) for name, patterns in PATTERNS.items())


@lru_cache(maxsize=4_096)
def classes(full: str) -> tuple[str, ...]:
    """Classes of a resolved path, in the order of the table."""
    return tuple(name for name, pattern in _COMPILED if pattern.search(full))
