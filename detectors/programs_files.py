"""Programs of the machine itself: files, things that run, processes, accounts.

The form of the table is told in programs.py."""

TABLE = """
cat tac nl bat batcat more less most view zcat bzcat xzcat zless strings od hexdump fold fmt rev pr: read
  files: read
head tail: read
  files: read
  valued: -n -c --lines --bytes
xxd: read
  files: read
  plain: yes
  valued: -l -s -c -g
  flags: -r=decode
cut: read
  files: read
  valued: -d -f -c -b --delimiter --fields
sort uniq shuf: read
  files: read
  valued: -k -t -o -S -T -n -f -w
  writes: -o --output
wc comm join paste column expand unexpand tsort csvlook: read
  files: read
  valued: -d -s -t -c
grep egrep fgrep rg ag ack zgrep ripgrep: search read
  files: read
  skip: 1
  valued: -e -f -m -A -B -C -g -t -T -d -D --include --exclude --exclude-dir --max-count --context --glob --type
      --color -r0
  reads: -f --file
  flags: -e= --regexp=
awk gawk mawk nawk: read
  files: read
  skip: 1
  valued: -F -v -f
  reads: -f
jq yq xq xmllint: read
  files: read
  skip: 1
  valued: --arg --argjson --indent
  flags: -i=write --in-place=write
sed gsed: read
  files: read
  skip: 1
  valued: -e -f -l --expression --file
  flags: -i=write --in-place=write
perl ruby: execute
  files: execute
  valued: -e -E -I -M
  flags: -i=write
diff cmp colordiff vimdiff md5sum sha1sum sha256sum sha512sum b2sum cksum sum file stat readlink realpath: read
  files: read
  valued: -c -f -U -x
ls dir tree exa eza lsd vdir du: list
  files: list
  valued: -I -L --max-depth -d
find fd fdfind locate which whereis type: search list
  plain: yes
  flags: -delete=delete -exec=execute -execdir=execute -ok=execute
pwd whoami id groups hostname uname date uptime printenv locale nproc arch tty who w last lastlog users df free
    lscpu lsblk lsof ps top htop pgrep pstree vmstat iostat dmesg journalctl lsmod lspci lsusb history ulimit sysctl
    getent finger: list
env time timeout nice ionice stdbuf watch unbuffer script chroot nsenter unshare flock firejail bwrap: execute
echo printf print yes seq: print
true false : sleep test [ exit return break continue shift wait:
read expr let basename dirname tput clear:
rm unlink rmdir: delete
  files: delete
shred wipe srm: delete destroy
  files: delete
  valued: -n -s --iterations --size
del erase rd: delete
  files: delete
remove-item ri: delete
  files: delete
  plain: yes
  valued: -path -filter -include -exclude
cp copy-item xcopy robocopy install ditto: copy read write
  files: copy
  valued: -t -m -o -g -S --target-directory --mode --owner --group --suffix
  writes: -t --target-directory
mv move-item ren rename rename-item: move write delete
  files: move
  valued: -t -S --target-directory
  writes: -t --target-directory
ln mklink: write
  files: link
  valued: -t -S
touch mkdir mkfifo mknod new-item md: write
  files: write
  valued: -m -d -t -r --mode --date --reference
tee: write
  files: write
sponge: write
  files: write
truncate fallocate: write
  files: write
  valued: -s -r -l -o --size --reference
  flags: -s=delete --size=delete
dd: copy read write
split csplit: read write
  files: read
  valued: -b -l -n -a
patch: write
  files: edit
  valued: -p -i -d -o
  reads: -i --input
ed ex vi vim nvim nano emacs pico: read write
  files: edit
  valued: -c -u -S +
chmod setfacl icacls cacls: grant write
  files: edit
  skip: 1
  valued: -m -x --reference
chown chgrp takeown: grant write
  files: edit
  skip: 1
chattr setcap setfattr: grant write
  files: edit
  skip: 1
tar bsdtar gtar: read write
  valued: -f -C -X -T --file --directory --exclude
zip: read write
  valued: -P -x -i
7z 7za rar: read write
unzip unrar gunzip bunzip2 unxz unzstd: read write
  files: read
  valued: -d -P -x
gzip bzip2 xz zstd lz4 compress: read write
  files: edit
cpio ar: read write
base64 base32: read
  files: read
  valued: -w -i -o
  flags: -d=decode -D=decode --decode=decode
openssl: read
  plain: yes
  valued: -in -out -inform -outform -keyout -key -pass -k -K -iv -connect -days -subj
  reads: -in -key
  writes: -out -keyout
  verbs: enc=encrypt,read s_client=connect s_server=listen req=write genrsa=write rsa=read passwd=print
gpg gpg2 age rage ccrypt: read encrypt
  files: read
  valued: -r -o -u --recipient --output --passphrase
  writes: -o --output
  flags: --export-secret-keys=read -d=decode
ssh-keygen: write
  valued: -t -b -f -C -N -P -O
  writes: -f
mkfs mkfs.ext4 mkfs.ext3 mkfs.xfs mkfs.btrfs mkfs.vfat mke2fs mkswap wipefs fdisk sfdisk sgdisk parted blkdiscard
    hdparm nvme diskpart format lvremove vgremove pvremove zpool cryptsetup diskutil: destroy write
  valued: -t -L -F
mount umount losetup swapoff swapon: configure
sh bash zsh dash ksh ash fish csh tcsh rbash: execute
  files: execute
  valued: -c -o -O --rcfile --init-file
source .: execute
  files: execute
python python2 python3 pypy ipython py: execute
  files: execute
  valued: -c -m -W -X
php lua rscript julia swift osascript groovy scala jshell: execute
  files: execute
  valued: -r -e -l --eval
java: execute
  plain: yes
  valued: -jar -cp -classpath
powershell pwsh powershell.exe pwsh.exe cmd cmd.exe wscript cscript mshta rundll32 regsvr32: execute
  plain: yes
eval exec command builtin nohup setsid trap: execute
strace ltrace gdb lldb dtrace perf: execute watch
  valued: -p -o -e -s
kill killall pkill skill taskkill stop-process xkill: stop
  valued: -s -n -u -t -g --signal
shutdown reboot halt poweroff init telinit stop-computer restart-computer: stop
systemctl service rc-service sv supervisorctl launchctl sc pm2 initctl: list
  valued: -t -H -M --type --host
  verbs: start=start stop=stop restart=stop,start reload=start disable=disable,stop mask=disable,stop
      enable=start,schedule kill=stop poweroff=stop reboot=stop edit=configure set-default=configure
      daemon-reload=configure load=start,schedule unload=disable,stop bootstrap=start,schedule bootout=disable,stop
      remove=delete delete=delete,disable create=schedule,write isolate=stop
update-rc.d chkconfig: schedule configure
crontab: schedule write
  files: read
  valued: -u
  flags: -l=list -r=delete -e=schedule
at batch schtasks anacron systemd-run: schedule execute
  valued: -f -t -q
useradd adduser userdel deluser usermod groupadd groupdel groupmod gpasswd passwd chpasswd chsh chage visudo vipw
    net dscl newusers addgroup new-localuser: account grant write
  valued: -u -g -G -s -d -c -p -e -m0
sudo doas su pkexec runas: execute
setenforce apparmor_parser aa-disable aa-teardown auditctl spctl csrutil set-mppreference: disable configure
insmod modprobe rmmod kextload kmod: install configure
reg regedit set-itemproperty defaults gsettings dconf: configure write
  verbs: query=read read=read delete=delete add=write,configure export=read
screen tmux disown bg: execute
  valued: -S -t -L
export set unset declare local readonly typeset alias unalias shopt setopt: configure
cd pushd popd:
vssadmin wbadmin bcdedit wevtutil fsutil cipher: configure
  verbs: delete=delete,destroy cl=delete,disable clear-log=delete,disable
logger: write
xdg-open open start explorer: execute
import scrot screencapture gnome-screenshot xwd ffmpeg arecord xinput xclip pbpaste xsel wl-paste: watch read
xargs parallel: execute
get-content: read
  files: read
  plain: yes
  valued: -Path -TotalCount -Tail -Encoding
  reads: -Path -LiteralPath
set-content add-content out-file: write
  files: write
  plain: yes
  valued: -Value -Encoding
  writes: -Path -FilePath -LiteralPath
get-childitem get-item get-process get-service get-acl select-string: list
  files: list
  plain: yes
invoke-expression invoke-command start-process start-job invoke-item: execute
  plain: yes
new-localuser add-localgroupmember set-acl set-executionpolicy: grant account
  plain: yes
stop-service set-service disable-windowsoptionalfeature: stop disable
  plain: yes
register-scheduledtask new-scheduledtask register-scheduledjob: schedule
  plain: yes
clear-eventlog clear-recyclebin clear-content: delete
  files: delete
  plain: yes
compress-archive expand-archive: read write
  plain: yes
  reads: -Path
  writes: -DestinationPath
send-mailmessage: send connect
  plain: yes
http.server simplehttpserver: listen
"""
