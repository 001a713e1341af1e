"""Programs that talk to the network, to databases, clouds and clusters.

The form of the table is told in programs.py."""

TABLE = """
curl: fetch connect
  hosts: urls
  valued: -d -H -o -T -F -u -X -A -e -b -c -m -w -x -E -K -Y -y -z -r -Q -P -C -t -U --data --data-raw --data-ascii
      --data-binary --data-urlencode --header --output --upload-file --form --form-string --user --request
      --user-agent --referer --cookie --cookie-jar --max-time --write-out --proxy --config --cacert --cert --key
      --retry --retry-delay --connect-timeout --json --url --resolve --interface --range --proxy-user --unix-socket
      --output-dir --limit-rate --ciphers --oauth2-bearer --dns-servers --connect-to
  reads: -T --upload-file -K --config -E --cert --key --cacert
  writes: -o --output -c --cookie-jar
  flags: -d=send --data=send --data-raw=send --data-ascii=send --data-binary=send --data-urlencode=send -F=send
      --form=send --form-string=send -T=send --upload-file=send --json=send --url-query=send -o=write -O=write
      --output=write --remote-name=write -J=write
wget wget2 aria2c axel: fetch connect write
  hosts: urls
  valued: -O -o -P -U -i -a -e -T -t -Q --output-document --directory-prefix --post-data --post-file --body-data
      --body-file --header --user-agent --user --password --method --input-file --tries --timeout
  reads: --post-file --body-file -i --input-file
  writes: -O --output-document -o -P --directory-prefix
  flags: --post-data=send --post-file=send --body-data=send --body-file=send
http https httpie xh xhs curlie: fetch connect
  hosts: first
  verbs: post=send,connect put=send,connect patch=send,connect delete=send,delete,connect get=fetch,connect
iwr irm invoke-webrequest invoke-restmethod start-bitstransfer bitsadmin certutil: fetch connect
  hosts: urls
  plain: yes
  valued: -Uri -Method -Body -OutFile -InFile -Headers -Source -Destination
  reads: -InFile
  writes: -OutFile -Destination
  flags: -Body=send -InFile=send
nc ncat netcat nc.traditional nc.openbsd: connect
  hosts: first
  valued: -p -e -c -w -s -x -X -q -i -g -G --exec --sh-exec --proxy
  flags: -l=listen --listen=listen -e=execute -c=execute --exec=execute --sh-exec=execute -z=scan
socat: connect
  plain: yes
telnet ftp tftp lftp ncftp sftp rlogin rsh mosh: connect
  hosts: first
  valued: -l -p -P -u -e -c -i -b -o -F
  reads: -i -b
ssh autossh: connect
  hosts: first
  valued: -b -c -D -e -F -i -I -J -l -L -m -o -O -p -Q -R -S -w -W -E -B
  reads: -i -F
  flags: -R=listen -D=listen -L=listen
scp: connect copy
  files: copy
  hosts: remote
  valued: -c -F -i -J -l -o -P -S
  reads: -i -F
rsync: copy read write
  files: copy
  hosts: remote
  valued: -e -f --rsh --exclude --include --exclude-from --include-from --files-from --password-file --port
      --bwlimit --rsync-path
  flags: --delete=delete --remove-source-files=delete
rclone: copy
  files: copy
  hosts: remote
  valued: --config --include --exclude --transfers
  verbs: copy=copy,send sync=copy,send,delete move=move,send delete=delete purge=delete,destroy config=configure
      ls=list serve=listen copyto=copy,send mount=configure rcat=send
ssh-copy-id: grant send connect
  hosts: first
  valued: -i -p -o
  reads: -i
dig nslookup host drill kdig resolvectl: connect
  hosts: all
  valued: -t -p -x -f -k -y -b -c
ping ping6 traceroute tracepath mtr fping hping3: connect
  hosts: first
  valued: -c -i -s -W -w -t -I -n -p
nmap masscan zmap rustscan nikto gobuster ffuf dirb sqlmap hydra medusa wfuzz nuclei: scan connect
  hosts: all
  plain: yes
  valued: -p -o -u -w -oN -oX -oA -oG --script -l -L -P -t -T -T0
mail mailx sendmail mutt msmtp swaks ssmtp: send
  valued: -s -a -r -c -b -t -A --to --from --server --header --body --attach
  reads: -a -A --attach
whois: connect
ngrok cloudflared localtunnel lt bore frpc chisel serveo pagekite zrok tailscale gost ligolo inlets telebit pinggy:
    connect listen publish
iptables ip6tables nft ufw firewall-cmd pfctl netsh ip ifconfig route iwconfig nmcli: configure
  valued: -A -D -I -F -t -j -p -s -d --dport
  verbs: disable=disable reset=disable allow=grant flush=disable
  flags: -F=disable --flush=disable -X=disable -P=configure
tcpdump tshark wireshark dumpcap ettercap: watch read
  valued: -i -w -r -c -s
  writes: -w
syncthing croc magic-wormhole wormhole transfer ffsend onionshare: send connect
psql pgcli: query connect
  valued: -c -f -h -U -d -p -o -v --command --file --host --username --dbname --port --output
  reads: -f --file
  writes: -o --output
mysql mariadb mycli: query connect
  valued: -e -h -u -P -D --execute --host --user --port --database
sqlite3 sqlite duckdb litecli: query
  plain: yes
  valued: -cmd -init -separator
bq: query connect
  valued: --project_id --dataset_id --location
  verbs: query=query rm=delete,destroy load=write extract=read,send cp=copy ls=list mk=write
sqlcmd isql sqlplus clickhouse-client snowsql cockroach trino presto-cli beeline cqlsh usql tsql: query connect
  valued: -Q -q -e -f -S -U -P -d --query --execute --host --user -i
  reads: -i -f
clickhouse: query connect
  valued: -q --query --host --user
mongo mongosh redis-cli influx etcdctl consul memcached-tool: query connect
  valued: -h -p -a -n -u --eval --host --port --uri
pg_dump pg_dumpall mysqldump mongodump mongoexport mydumper: read connect query
  valued: -h -U -d -p -f -u -t -n -F -o --host --username --dbname --file --out --uri --db
  writes: -f --file -o --out -r --result-file
pg_restore mongorestore mongoimport: write connect
  files: read
  valued: -h -U -d -p -u --host --dbname --uri --db
dropdb: delete destroy connect
  valued: -h -U -p
createdb createuser dropuser: write connect
  valued: -h -U -p
aws aws2 gcloud az doctl ibmcloud oci aliyun linode-cli hcloud scw exo s3cmd gsutil vultr-cli gam: connect
  valued: --region --profile --project --output --query --endpoint-url --subscription -g -n -o --resource-group
      --zone --format --filter
flyctl fly railway render heroku vercel netlify wrangler firebase supabase eb sam cdk sls serverless amplify surge:
    connect
  valued: -a --app -t --token -e --project
  verbs: deploy=deploy,publish,send destroy=delete,destroy delete=delete,destroy rm=delete remove=delete
      down=delete,stop login=login up=deploy secrets=configure apps.destroy=delete,destroy
      volumes.destroy=delete,destroy volume.delete=delete,destroy publish=deploy,publish,send logs=read
      restart=stop,start
kubectl oc k kubecolor: connect
  valued: -n -f -l -o -c -p -k -s --namespace --context --filename --selector --output --container --kubeconfig
      --cluster --user --as --token --server
  reads: -f --filename -k --kustomize --kubeconfig
  verbs: get=list describe=list logs=read top=list delete=delete drain=stop cordon=stop scale=configure
      apply=deploy,write create=deploy,write replace=deploy,write patch=write,configure edit=write set=configure
      rollout=deploy rollout.undo=deploy rollout.restart=stop,start exec=execute run=execute,deploy debug=execute
      attach=execute cp=copy port-forward=listen,connect proxy=listen expose=publish label=configure
      annotate=configure taint=configure auth=list config=configure certificate.approve=grant
      create.rolebinding=grant create.clusterrolebinding=grant create.role=grant create.token=grant adm.policy=grant
helm: connect
  valued: -n -f --namespace --values --set --version --repo
  reads: -f --values
  verbs: install=deploy,install,fetch upgrade=deploy uninstall=delete delete=delete rollback=deploy template=read
      repo=configure pull=fetch push=publish,send list=list
terraform tofu terragrunt:
  plain: yes
  valued: -chdir -var -var-file -target -out -state
  verbs: apply=deploy,write destroy=delete,destroy plan=read init=install,fetch import=write state=list
      state.rm=delete state.push=write taint=write workspace.delete=delete output=read show=read validate=test
      fmt=write force-unlock=configure
pulumi:
  verbs: up=deploy,write destroy=delete,destroy preview=read stack.rm=delete config=configure
ansible ansible-playbook salt chef-client puppet knife: deploy execute connect
  valued: -i -m -a -u -e -l -t
  reads: -i
vault: connect
  verbs: read=read kv.get=read kv.put=write kv.delete=delete write=write delete=delete login=login
      policy.write=grant token.create=grant list=list
op bw pass security secret-tool lpass gopass keyring chamber doppler infisical aws-vault keepassxc-cli: read
  verbs: add-generic-password=write delete-generic-password=delete generate=write rm=delete login=login
claude codex gemini aider goose opencode cursor-agent copilot amp q qwen crush llm ollama: execute connect
  valued: -p -m --model --prompt -c
litellm vllm llama-server mlflow jupyter gunicorn uvicorn flask streamlit gradio http-server serve nginx apache2
    httpd caddy: listen execute
  valued: -p -b -h --port --host --bind
"""
