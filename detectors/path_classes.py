"""What kind of file a path names: one pattern per class, tested on the resolved path; a file may be of several."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

# Each is searched for in the path without regard to case; `^|/` is where a name begins.
PATTERNS: Mapping[str, str] = {
    "env": r"(?:^|/)\.env(?:rc|\.(?!example|sample|template|dist|defaults?|tpl)[\w.-]+)?$|(?:^|/)[\w-]+\.env$",
    "shell-profile": r"(?:^|/)\.(?:bashrc|bash_profile|bash_login|bash_logout|bash_aliases|profile|zshrc|zshenv|zprofile|zlogin|zlogout|kshrc|cshrc|tcshrc|inputrc|xprofile|xinitrc|xsessionrc)$"
    r"|^/etc/(?:profile|bash\.bashrc|bashrc|zsh/\w+|zshrc|zshenv|environment)$|^/etc/profile\.d/|/fish/(?:config\.fish$|conf\.d/)"
    r"|profile\.ps1$",
    "local-config": r"(?:^|/)[\w.-]+\.local\.(?:json|ya?ml|toml|md|py|js|ts|php|properties)$|(?:^|/)\.?local\.settings\.json$|(?:^|/)local_settings\.py$",
    "mcp-config": r"(?:^|/)\.?mcp(?:[_.-]?(?:config|settings|servers))?\.json$|(?:^|/)claude_desktop_config\.json$|(?:^|/)cline_mcp_settings\.json$",
    "cloud-credentials": r"(?:^|/)\.aws/(?:credentials|config|sso/cache/.+|cli/cache/.+)$|(?:^|/)\.aws$|(?:^|/)\.azure(?:/|$)|/gcloud(?:/(?:application_default_credentials\.json|credentials\.db|access_tokens\.db|legacy_credentials/.+|configurations/.+))?$"
    r"|(?:^|/)(?:gcp|google|service)[_-]?(?:account|credentials?|sa|key)[\w-]*\.json$|(?:^|/)application_default_credentials\.json$"
    r"|(?:^|/)\.(?:oci|bluemix|aliyun|tccli|doctl|linode-cli|hcloud|scw)(?:/|$)|(?:^|/)\.terraform\.d/credentials|(?:^|/)\.terraformrc$|(?:^|/)credentials\.tfrc\.json$|(?:^|/)terraform\.tfstate(?:\.backup)?$"
    r"|(?:^|/)\.(?:boto|s3cfg)$|(?:^|/)\.config/(?:rclone/rclone\.conf|doctl/config\.yaml|hcloud/cli\.toml|scw/config\.yaml|heroku|fly)|(?:^|/)\.fly/config\.yml$",
    "package-token": r"(?:^|/)\.(?:npmrc|yarnrc|yarnrc\.yml|pypirc|netrc|gem/credentials|cargo/credentials(?:\.toml)?|composer/auth\.json|m2/settings(?:-security)?\.xml|gradle/gradle\.properties|nuget/nuget\.config|bundle/config|condarc|git-credentials|config/gh/hosts\.yml|config/glab-cli/config\.yml|config/hub)$|(?:^|/)_netrc$|(?:^|/)nuget\.config$|(?:^|/)pip/pip\.conf$",
    "agent-credentials": r"(?:^|/)\.claude/\.credentials\.json$|(?:^|/)\.claude\.json$|(?:^|/)\.codex/auth\.json$|(?:^|/)\.gemini/(?:oauth_creds|google_accounts)\.json$|/github-copilot/(?:hosts|apps)\.json$|(?:^|/)\.config/(?:openai|anthropic)(?:/|$)|(?:^|/)\.(?:huggingface|cache/huggingface)/token$",
    "ssh-key": r"(?:^|/)\.ssh(?:/(?!known_hosts|config$).*)?$|(?:^|/)id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?(?:\.pub)?$|^/etc/ssh/ssh_host_\w+_key$|(?:^|/)authorized_keys2?$",
    "ssh-config": r"(?:^|/)\.ssh/(?:config|known_hosts2?)$|^/etc/ssh/sshd?_config(?:\.d/.*)?$",
    "private-key": r"\.(?:pem|key|p12|pfx|jks|keystore|ppk|p8|asc|gpg|kdb)$|(?:^|/)\.gnupg(?:/|$)|/private[_-]?key[\w.-]*$|^/etc/(?:ssl|pki)(?:/.*)?/private(?:/|$)|^/etc/letsencrypt/(?:live|archive|keys)(?:/|$)",
    "password-store": r"\.(?:kdbx?|agilekeychain|opvault|1pux|psafe3)$|(?:^|/)\.password-store(?:/|$)|/keychains?(?:/|$)|(?:^|/)login\.keychain(?:-db)?$|/keyrings?(?:/|$)|(?:^|/)\.(?:pgpass|my\.cnf|mylogin\.cnf|vault-token|htpasswd|netrc|git-credentials|docker/config\.json|dockercfg)$|/microsoft/(?:credentials|protect|vault)(?:/|$)|/config/(?:sam|security|system)$|ntds\.dit$|/bitwarden(?: cli)?/data\.json$|(?:^|/)(?:passwords?|credentials?|logins?)(?:\.(?:txt|csv|json|xlsx?|docx?|ya?ml|toml|ini|db|kdbx|old|bak))?$",
    "browser-data": r"/(?:chrome|chromium|google-chrome|brave-browser|brave|microsoft-edge|edge|vivaldi|opera(?: stable)?|arc)/(?:.*/)?(?:user data|default|profile \d+|login data|cookies|web data|history|local state|local storage)(?:/|$)|(?:^|/)\.?mozilla/firefox(?:/|$)|/firefox/profiles(?:/|$)|(?:^|/)(?:logins\.json|key[34]\.db|cookies\.sqlite|places\.sqlite|login data|cookies\.binarycookies)$|(?:^|/)\.config/(?:google-chrome|chromium|bravesoftware|microsoft-edge)(?:/|$)|/safari/(?:cookies|history\.db|localstorage)",
    "wallet": r"(?:^|/)wallet\.(?:dat|json|aes\.json)$|(?:^|/)\.(?:bitcoin|ethereum|electrum|monero|solana|litecoin|dogecoin|zcash|foundry/keystores)(?:/|$)|/(?:exodus|atomic|electrum|metamask|ledger live|ethereum|bitcoin)/(?:.*/)?(?:wallets?|keystore|exodus\.wallet|leveldb)(?:/|$)|(?:^|/)utc--\d|(?:^|/)(?:seed|mnemonic|recovery)[_-]?(?:phrase|words)?\.(?:txt|json)$",
    "shell-history": r"(?:^|/)\.(?:bash|zsh|sh|fish|python|node_repl|psql|mysql|sqlite|rediscli|mongo|irb|ash|ksh|csh)_history$|(?:^|/)\.(?:zhistory|histfile|history|lesshst|viminfo)$|/fish/fish_history$|consolehost_history\.txt$",
    "notes": r"(?:^|/)(?:notes?|todo|journal|diary|scratch|ideas?|memo)s?\.(?:md|txt|org|rst|docx?)$|(?:^|/)(?:notes|obsidian|vault|journal)/.+\.(?:md|txt|org)$|/apple notes|/notestore\.sqlite$",
    "script": r"\.(?:sh|bash|zsh|ksh|fish|ps1|psm1|bat|cmd|vbs|command|awk|pl|expect)$|(?:^|/)(?:scripts?|bin)/[^/.]+$",
    "makefile": r"(?:^|/)(?:gnu)?makefile(?:\.\w+)?$|\.mk$|(?:^|/)(?:justfile|taskfile\.ya?ml|rakefile|cmakelists\.txt|noxfile\.py|tox\.ini|dodo\.py|tasks\.py|gulpfile\.js|gruntfile\.js|build\.gradle(?:\.kts)?|pom\.xml)$",
    "ci-config": r"(?:^|/)\.github/(?:workflows|actions)/|(?:^|/)\.gitlab-ci\.ya?ml$|(?:^|/)\.gitlab/ci/|(?:^|/)(?:\.circleci|\.buildkite|\.teamcity|\.woodpecker|\.drone|\.semaphore)/|(?:^|/)(?:jenkinsfile[\w.-]*|azure-pipelines[\w.-]*\.ya?ml|bitbucket-pipelines\.ya?ml|\.travis\.ya?ml|\.drone\.ya?ml|appveyor\.ya?ml|cloudbuild\.ya?ml|buildspec\.ya?ml|\.pre-commit-config\.yaml|codefresh\.ya?ml|\.cirrus\.yml)$",
    "agent-config": r"(?:^|/)(?:claude(?:\.local)?|agents(?:\.override)?|gemini|copilot-instructions|skill|qwen|warp|conventions)\.md$|(?:^|/)\.(?:claude|codex|gemini|cursor|windsurf|clinerules|cline|continue|aider[\w.]*|goose|amazonq|kiro|opencode|roo|copilot|junie|trae|augment)(?:/|$)|(?:^|/)\.(?:cursorrules|windsurfrules|clinerules|roorules|goosehints|aider\.conf\.yml)$|(?:^|/)\.github/(?:copilot-instructions\.md|instructions/|prompts/|chatmodes/|agents/)|^/etc/(?:claude-code|codex)(?:/|$)|/claudecode/managed-settings\.json$|(?:^|/)managed-settings\.json$",
    "permission-file": r"(?:^|/)\.claude/settings(?:\.local)?\.json$|(?:^|/)managed-settings\.json$|(?:^|/)\.codex/(?:config\.toml|rules/.+|requirements\.toml)$|(?:^|/)\.gemini/(?:settings\.json|policies/.+|trustedfolders\.json)$|(?:^|/)\.cursor/(?:cli(?:-config)?|permissions|sandbox)\.json$|(?:^|/)\.cursorignore$|(?:^|/)\.vscode/settings\.json$|(?:^|/)\.(?:gemini|aider|codeium)ignore$|(?:^|/)codeowners$|(?:^|/)opencode\.jsonc?$|(?:^|/)\.config/goose/(?:permission|config)\.ya?ml$|^/etc/(?:selinux|apparmor(?:\.d)?|polkit-1)(?:/|$)|^/etc/security/",
    "hook": r"(?:^|/)\.git/hooks(?:/|$)|(?:^|/)\.(?:husky|githooks)(?:/|$)|(?:^|/)\.(?:claude|codex|cursor|gemini)/hooks(?:/|\.json$)|(?:^|/)lefthook\.ya?ml$|(?:^|/)\.pre-commit-config\.yaml$",
    "telemetry-config": r"(?:^|/)(?:otel|otelcol|opentelemetry|collector|telemetry)[\w.-]*\.(?:ya?ml|json|toml|conf|env|properties)$|/otelcol(?:-contrib)?/|^/etc/(?:audit|rsyslog|syslog|fluent|fluent-bit|td-agent|vector|promtail|filebeat|auditbeat|datadog-agent|falco|osquery)[\w.-]*(?:/|$)|^/etc/(?:rsyslog|syslog|auditd|journald|fluentd)\.conf$|^/etc/systemd/journald\.conf|sysmon[\w.-]*\.xml$|(?:^|/)(?:fluent-bit|fluentd|promtail|filebeat|vector)\.(?:ya?ml|conf|toml)$",
    "git-internal": r"(?:^|/)\.git(?:/(?!hooks(?:/|$)).*)?$",
    "git-config": r"(?:^|/)\.gitconfig$|(?:^|/)\.git/config(?:\.worktree)?$|(?:^|/)\.config/git/|^/etc/gitconfig$|(?:^|/)\.git(?:attributes|modules)$",
    "kube-config": r"(?:^|/)\.kube(?:/|$)|(?:^|/)kubeconfig[\w.-]*$|\.kubeconfig$|^/etc/kubernetes/(?:\w+\.conf$|pki/)|^(?:/var)?/run/secrets/kubernetes\.io/|^/etc/rancher/k3s/k3s\.yaml$",
    "container-config": r"(?:^|/)(?:dockerfile|containerfile)(?:\.[\w.-]+)?$|\.dockerfile$|(?:^|/)(?:docker-)?compose(?:[.-][\w-]+)*\.ya?ml$|(?:^|/)\.docker/(?:config|daemon)\.json$|^/etc/docker/|(?:^|/)(?:docker|containerd|podman|crio)\.sock$|(?:^|/)\.devcontainer(?:/|$)|(?:^|/)chart\.yaml$",
    "infra-config": r"\.(?:tf|tfvars|hcl|bicep)(?:\.json)?$|(?:^|/)(?:serverless|pulumi|template|cdk|ansible)[\w.-]*\.(?:ya?ml|json|cfg)$|(?:^|/)(?:k8s|kubernetes|manifests|helm|terraform|deploy)/.+\.ya?ml$",
    "database-file": r"\.(?:db|sqlite3?|db3|mdb|accdb|frm|ibd|myd|mdf|ldf|rdb|ldb|duckdb|dump)$|^/var/lib/(?:mysql|postgresql|mongodb|redis|mariadb|elasticsearch|clickhouse)(?:/|$)|\.sql(?:\.gz)?$",
    "backup": r"\.(?:bak|backup|old|orig|snapshot|dump|vhdx?|vmdk|bkf)(?:\.\w{2,4})?$|(?:^|/)(?:backups?|snapshots?|dumps?)(?:/|$)|(?:^|/)[\w-]*backup[\w-]*\.(?:tar|tgz|zip|gz|sql|zst|7z|bz2|xz)|(?:^|/)system volume information(?:/|$)",
    "log": r"\.log(?:\.\d+)?(?:\.gz)?$|^/var/log(?:/|$)|(?:^|/)logs?/[^/]+$|(?:^|/)(?:wtmp|btmp|lastlog|utmp|syslog|auth\.log|audit\.log)$|\.evtx$|/winevt/logs(?:/|$)",
    "system-account": r"^/etc/(?:passwd|shadow|gshadow|group|sudoers|master\.passwd|security/opasswd)-?$|^/etc/sudoers\.d(?:/|$)|^/private/etc/(?:sudoers|master\.passwd|passwd)|/system32/config/sam$|^/etc/doas\.conf$|^/etc/pam\.d(?:/|$)",
    "system-config": r"^/(?:private/)?etc(?:/|$)|^[a-z]:/windows/system32(?:/|$)|^/(?:system|library)/(?:.*/)?(?:launchdaemons|preferences|extensions)(?:/|$)|^/boot(?:/|$)|^/(?:proc|sys)(?:/|$)|^/lib/modules(?:/|$)|/nginx/.+\.conf$|/apache2/.+\.conf$",
    "system-binary": r"^/(?:usr/(?:local/)?)?s?bin(?:/|$)|^/(?:usr/)?lib(?:32|64|x32)?(?:/|$)|^[a-z]:/windows/(?:system32|syswow64)(?:/|$)",
    "device": r"^/dev/(?!null$|shm|tcp/|udp/|stdin$|stdout$|stderr$|tty|zero$|u?random$|fd/).+|^//[.]/physicaldrive\d|^/dev$",
    "process": r"^/proc/(?:\d+|self|\*|\$\w+)/(?:environ|mem|maps|cmdline|fd|root|cwd|exe)|^/proc/(?:kcore|sysrq-trigger|sys/)",
    "cron": r"^/etc/(?:cron\.[\w]+|crontab|anacrontab|at\.allow)(?:/|$)|^/var/spool/(?:cron|at|anacron)(?:/|$)|(?:^|/)crontab(?:\.txt)?$|/system32/tasks(?:/|$)|\.timer$",
    "startup": r"^/etc/(?:init\.d|rc\.local|rc\d\.d|init|inittab|xdg/autostart|ld\.so\.preload|ld\.so\.conf(?:\.d)?|update-motd\.d)(?:/|$)|(?:^|/)systemd/(?:system|user)(?:/|$)|\.service$|/(?:launchagents|launchdaemons)(?:/|$)|(?:^|/)\.config/autostart(?:/|$)|/start menu/programs/startup(?:/|$)|(?:^|/)(?:sitecustomize|usercustomize)\.py$|\.pth$",
    "hosts-file": r"^/(?:private/)?etc/(?:hosts(?:\.allow|\.deny)?|resolv\.conf|nsswitch\.conf|host\.conf)$|/drivers/etc/hosts$",
    "secrets-dir": r"(?:^|/)\.?(?:secrets?|credentials?|private|vault|certs?|keys)(?:/|$)|^(?:/var)?/run/secrets(?:/|$)|(?:^|/)[\w-]*(?:secrets?|credentials?)[\w-]*\.(?:ya?ml|json|toml|env|ini|txt|xml|properties|conf|cfg|enc|key)$",
    "source": r"\.(?:py|pyi|ipynb|js|jsx|mjs|cjs|ts|tsx|vue|svelte|java|kt|kts|scala|go|rs|rb|php|c|h|cc|cpp|cxx|hpp|cs|fs|swift|m|mm|ex|exs|erl|hs|lua|r|jl|dart|clj|groovy|sol|zig|html|css|scss)$",
    "test": r"(?:^|/)(?:tests?|__tests__|specs?)(?:/|$)|(?:^|/)(?:test_[\w-]+|[\w-]+_test|conftest)\.\w+$|\.(?:test|spec)\.\w+$",
    "dependency-lock": r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?|poetry\.lock|uv\.lock|pdm\.lock|pipfile\.lock|cargo\.lock|gemfile\.lock|composer\.lock|go\.sum|mix\.lock|pubspec\.lock|flake\.lock|conda-lock\.yml|packages\.lock\.json|podfile\.lock|gradle\.lockfile)$",
    "dependency-manifest": r"(?:^|/)(?:package\.json|pyproject\.toml|setup\.(?:py|cfg)|requirements[\w.-]*\.(?:txt|in)|constraints[\w.-]*\.txt|pipfile|environment\.ya?ml|cargo\.toml|gemfile|composer\.json|go\.mod|mix\.exs|pubspec\.yaml|podfile|pom\.xml|build\.gradle(?:\.kts)?|[\w.-]+\.csproj)$",
    "document": r"\.(?:docx?|xlsx?|pptx?|pdf|odt|ods|rtf|csv|tsv|eml|msg|pst|mbox)$|(?:^|/)(?:documents|desktop|downloads|pictures|onedrive|dropbox|icloud drive)(?:/|$)",
    "mail": r"\.(?:eml|msg|pst|ost|mbox)$|(?:^|/)(?:\.?maildir|\.thunderbird|mail)/|^/var/(?:spool/)?mail(?:/|$)",
    "archive": r"\.(?:tar|tgz|tar\.\w+|zip|gz|bz2|xz|zst|7z|rar|jar|war|whl|deb|rpm|apk|dmg|iso|pkg)$",
}  # fmt: skip

_COMPILED = tuple((name, re.compile(pattern, re.I)) for name, pattern in PATTERNS.items())


@lru_cache(maxsize=4_096)
def classes(full: str) -> tuple[str, ...]:
    """Classes of a resolved path, in the order of the table."""
    return tuple(name for name, pattern in _COMPILED if pattern.search(full))
