"""Programs that build, test, install, and keep sources and containers.

The form of the table is told in programs.py."""

TABLE = """
node nodejs deno bun ts-node tsx: execute
  files: execute
  valued: -e -p -r --eval --print --require
  verbs: run=execute install=install add=install test=test x=install,execute remove=uninstall
make gmake ninja cmake just task gradle gradlew mvn mvnw ant bazel meson msbuild rake: build execute
  valued: -C -f -j -G -B -S --directory --file --jobs
  verbs: test=test check=test install=install deploy=deploy publish=publish clean=delete,build clippy=test
gcc g++ cc c++ clang clang++ ld tsc javac rustc ghc kotlinc swiftc nvcc as nasm: build
  valued: -o -I -L -l -std -D -x
  writes: -o
pytest tox nox unittest jest vitest mocha rspec phpunit ctest behave cypress karma ava: test
  valued: -k -m -n -p -c -o -e -s --tb --maxfail --cov
ruff black flake8 mypy pylint isort eslint prettier tslint rubocop shellcheck bandit pre-commit pyflakes: test
go:
  valued: -C
  verbs: build=build test=test run=execute install=install get=install,fetch mod=configure,fetch vet=test
      generate=execute clean=delete
cargo:
  valued: --manifest-path -p -Z
  verbs: build=build check=build test=test run=execute install=install,fetch add=install publish=publish,send
      clippy=test uninstall=uninstall yank=delete,publish login=login
dotnet:
  verbs: build=build test=test run=execute add=install publish=build nuget=publish restore=install
npm pnpm yarn cnpm:
  valued: --prefix -C --registry --filter -w
  verbs: install=install,fetch i=install,fetch ci=install,fetch add=install,fetch update=install,fetch
      upgrade=install,fetch dlx=install,execute,fetch exec=execute x=execute run=execute run-script=execute
      start=execute test=test t=test publish=publish,send unpublish=delete,publish deprecate=publish
      uninstall=uninstall remove=uninstall rm=uninstall login=login adduser=login config=configure link=install
      create=install,execute,fetch init=write owner=grant access=grant token=grant cache=list audit=list
npx pnpx bunx uvx pipx: install execute fetch
  valued: -p --package --from --with
  verbs: install=install,fetch uninstall=uninstall
pip uv poetry pdm pipenv conda mamba micromamba hatch rye:
  valued: -r -c -i -t -e -n -p --index-url --extra-index-url --target --requirement --python --directory --project
      --with
  reads: -r -c --requirement --constraint
  verbs: install=install,fetch download=fetch uninstall=uninstall wheel=build,fetch config=configure list=list
      show=list freeze=list sync=install,fetch add=install,fetch remove=uninstall publish=publish,send run=execute
      build=build update=install,fetch lock=write upload=publish,send check=test create=write env=list search=search
      pip.install=install,fetch pip.uninstall=uninstall tool.install=install,fetch env.remove=delete
twine:
  verbs: upload=publish,send
gem bundle bundler composer luarocks cpan cpanm nuget choco scoop winget brew port flatpak snap:
  verbs: install=install,fetch download=fetch uninstall=uninstall wheel=build,fetch config=configure list=list
      show=list freeze=list sync=install,fetch add=install,fetch remove=uninstall publish=publish,send run=execute
      build=build update=install,fetch lock=write upload=publish,send check=test create=write env=list search=search
      require=install,fetch push=publish,send i=install,fetch upgrade=install,fetch exec=execute yank=delete,publish
      tap=configure,fetch services=start
apt apt-get aptitude yum dnf microdnf zypper tdnf apk pkg pkgin xbps-install emerge:
  valued: -o -c -t --repo -y0
  verbs: install=install,fetch add=install,fetch in=install,fetch upgrade=install,fetch dist-upgrade=install,fetch
      full-upgrade=install,fetch reinstall=install,fetch localinstall=install build-dep=install,fetch
      groupinstall=install,fetch remove=uninstall purge=uninstall,delete del=uninstall erase=uninstall
      autoremove=uninstall update=fetch download=fetch source=fetch clean=delete search=search list=list show=list
pacman:
  flags: -S=install,fetch -U=install -R=uninstall
dpkg rpm installer msiexec: list
  flags: -i=install -U=install -e=uninstall -r=uninstall -P=uninstall --install=install --purge=uninstall
      -pkg=install
rustup nvm pyenv rbenv asdf sdk volta fnm goenv:
  verbs: install=install,fetch uninstall=uninstall update=install,fetch use=configure global=configure
git:
  valued: -C -c --git-dir --work-tree --namespace -m -F -b -u --exec-path
  reads: -F
  verbs: clone=fetch,write fetch=fetch pull=fetch,write push=send,publish ls-remote=list,connect submodule=fetch
      remote=list remote.add=configure remote.set-url=configure remote.remove=configure remote.rm=configure
      config=configure credential=read commit=write add=write rm=delete mv=move merge=write rebase=write
      cherry-pick=write revert=write reset=write restore=write checkout=write switch=write clean=delete stash=write
      stash.drop=delete stash.clear=delete branch=list tag=list,write apply=write am=write init=write worktree=write
      worktree.remove=delete gc=delete prune=delete reflog=list reflog.expire=delete filter-branch=write,delete
      filter-repo=write,delete update-ref=write send-email=send bundle=write archive=read daemon=listen
      bisect=execute status=list log=list diff=read show=read blame=read grep=search,read ls-files=list
      describe=list rev-parse=list shortlog=list update-index=write hook=execute lfs=fetch svn=fetch
svn hg:
  verbs: checkout=fetch,write co=fetch,write clone=fetch,write update=fetch,write commit=send push=send,publish
      ci=send
gh glab hub: connect
  valued: -R -t -b -B -H -F -f -X -q --repo --title --body --body-file --method --field --jq --json -n
  reads: -F --body-file --input
  verbs: pr.create=send,publish pr.merge=publish,send pr.close=send pr.comment=send,publish pr.review=grant,send
      pr.edit=send pr.checkout=fetch,write mr.create=send,publish mr.merge=publish,send mr.approve=grant,send
      issue.create=send,publish issue.comment=send,publish issue.close=send issue.delete=delete
      repo.clone=fetch,write repo.create=publish repo.fork=publish repo.delete=delete,destroy repo.edit=configure
      repo.archive=configure repo.sync=write release.create=publish,send release.upload=publish,send
      release.delete=delete gist.create=publish,send gist.edit=publish,send gist.delete=delete
      workflow.run=deploy,execute workflow.disable=disable workflow.enable=start run.rerun=execute run.cancel=stop
      run.download=fetch run.delete=delete secret.set=grant,send secret.delete=delete secret.list=list
      variable.set=configure auth.login=login auth.token=read auth.setup-git=configure api=connect ssh-key.add=grant
      gpg-key.add=grant extension.install=install,fetch,execute ruleset=list pr.list=list pr.view=list
      issue.list=list issue.view=list
docker podman nerdctl buildah:
  valued: -H -c --context -v -p -e -w -u -f -t --name --network --volume --mount --publish --env --env-file
      --entrypoint --user --workdir --file --tag --pid --cap-add --security-opt --device --platform --restart -l
      --label -m --memory --cpus --ipc --hostname -h --userns
  reads: --env-file
  verbs: run=execute,start exec=execute create=write start=start stop=stop kill=stop restart=stop,start pause=stop
      rm=delete rmi=delete prune=delete build=build buildx=build pull=fetch push=publish,send login=login cp=copy
      save=write load=read import=read export=write commit=write tag=write ps=list images=list logs=read
      inspect=read system.prune=delete,destroy volume.rm=delete,destroy volume.prune=delete,destroy
      volume.create=write network.rm=delete network.create=write image.rm=delete image.prune=delete
      container.rm=delete container.prune=delete container.stop=stop compose.up=start compose.down=stop,delete
      compose.exec=execute compose.run=execute compose.build=build compose.rm=delete compose.pull=fetch
      compose.stop=stop compose.logs=read compose.ps=list swarm=configure stack.deploy=deploy stack.rm=delete
docker-compose podman-compose:
  valued: -f -p --file --project-name --profile
  reads: -f --file
  verbs: up=start down=stop,delete exec=execute run=execute build=build rm=delete pull=fetch stop=stop logs=read
      ps=list restart=stop,start
"""
