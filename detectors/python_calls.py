"""What well-known Python functions do to the world: one line each, to be extended here and nowhere else.

An entry is: names | effects | roles; a line that begins with blanks goes on. A role says what an argument is: read,
write, delete, execute, list (files), host, url, run (a command), words (those of a command, from there on), code, sql;
open (a file, the mode is the next argument). Arguments are numbers or keywords, `self` is the object the method belongs
to, `a+b` means host a with port b. In a name `*` stands for anything between a module and a method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Deed(NamedTuple):
    """What one function does: its effects, and which arguments play which role."""

    effects: tuple[str, ...]
    roles: Mapping[str, tuple[str, ...]]


_TABLE = """
os.remove os.unlink os.rmdir os.removedirs | delete | delete=0,path,name
pathlib.Path.unlink pathlib.Path.rmdir | delete | delete=self
shutil.rmtree | delete | delete=0,path
send2trash.send2trash | delete | delete=0
glob.glob glob.iglob os.listdir os.scandir os.walk os.fwalk os.stat os.lstat os.path.exists os.path.getsize
    os.path.isfile os.path.isdir os.access | list | list=0,path,top,pathname
pathlib.Path.iterdir pathlib.Path.glob pathlib.Path.rglob pathlib.Path.exists pathlib.Path.stat pathlib.Path.is_file
    pathlib.Path.is_dir | list | list=self
pathlib.Path.read_text pathlib.Path.read_bytes | read | read=self
pathlib.Path.write_text pathlib.Path.write_bytes pathlib.Path.touch pathlib.Path.mkdir | write | write=self
pathlib.Path.rename pathlib.Path.replace | move write | delete=self write=0,target
pathlib.Path.symlink_to pathlib.Path.hardlink_to | write | write=self
pathlib.Path.chmod | grant write | write=self
os.rename os.replace os.renames shutil.move | move write | delete=0,src write=1,dst
shutil.copy shutil.copy2 shutil.copyfile shutil.copytree | copy read write | read=0,src write=1,dst
os.link os.symlink | read write | read=0,src write=1,dst
os.utime | write | write=0,path
os.mkdir os.makedirs os.mknod os.mkfifo | write | write=0,path,name
os.truncate | delete write | write=0,path
os.chmod os.lchmod | grant write | write=0,path
os.chown os.lchown shutil.chown | grant write | write=0,path
os.chroot os.chdir | configure |
os.setuid os.setgid os.seteuid os.setegid os.setgroups os.setresuid os.setreuid | grant |
os.kill os.killpg os.abort psutil.Process.kill psutil.Process.terminate psutil.Process.suspend signal.pthread_kill
    psutil.*.kill psutil.*.terminate | stop |
psutil.process_iter psutil.pids psutil.Process psutil.net_connections psutil.users psutil.cpu_percent
    psutil.virtual_memory psutil.disk_usage psutil.net_io_counters | list |
os.fork multiprocessing.Process threading.Thread | start |
os.getgroups os.getuid os.getlogin os.uname platform.* pwd.* grp.* spwd.* getpass.getuser socket.gethostname
    uuid.getnode | list |
linecache.getline linecache.getlines fileinput.input tokenize.open numpy.load numpy.loadtxt numpy.genfromtxt
    joblib.load torch.load pandas.read_csv pandas.read_excel pandas.read_json pandas.read_pickle pandas.read_parquet
    pandas.read_table pandas.read_xml pandas.read_html PIL.Image.open cv2.imread yaml.full_load dotenv.load_dotenv
    dotenv.dotenv_values configparser.*.read imageio.imread soundfile.read docx.Document openpyxl.load_workbook
    pdfplumber.open PyPDF2.PdfReader fitz.open | read | read=0,filename,file,filepath_or_buffer,path,dotenv_path
pandas.*.to_csv pandas.*.to_excel pandas.*.to_json pandas.*.to_pickle pandas.*.to_parquet numpy.save numpy.savetxt
    joblib.dump torch.save matplotlib.*.savefig cv2.imwrite PIL.*.save openpyxl.*.save docx.*.save
    | write | write=0,fname,path_or_buf
PIL.ImageGrab.grab PIL.ImageGrab.grab.save pyautogui.screenshot mss.mss mss.*.shot cv2.VideoCapture pyaudio.PyAudio
    sounddevice.rec pynput.* keyboard.* pyperclip.paste tkinter.*.clipboard_get clipboard.paste win32clipboard.*
    pyscreenshot.grab | watch read |
watchdog.observers.Observer watchdog.*.schedule inotify.* pyinotify.* scapy.all.sniff scapy.sniff scapy.*.sniff
    pcap.* pcapy.* dpkt.* | watch read | list=1,path
shelve.open dbm.open | read write | write=0,filename
zipfile.ZipFile tarfile.open gzip.open bz2.open lzma.open gzip.GzipFile | read | archive=0,name,filename,file
zipfile.*.extractall tarfile.*.extractall zipfile.*.extract tarfile.*.extract shutil.unpack_archive
    | write | write=path
zipfile.*.write tarfile.*.add | read | read=0,name,filename
shutil.make_archive | read write | write=0,base_name read=root_dir,2
tempfile.* os.tmpnam | write |
os.system os.popen subprocess.getoutput subprocess.getstatusoutput commands.getoutput pty.spawn platform.popen
    asyncio.create_subprocess_shell pexpect.spawn pexpect.run invoke.run fabric.*.run fabric.*.sudo sh.* plumbum.*
    os.startfile | execute | run=0,cmd,command
subprocess.run subprocess.call subprocess.check_call subprocess.check_output subprocess.Popen
    asyncio.subprocess.create_subprocess_exec | execute | run=0,args
os.execv os.execve os.execvp os.execvpe os.posix_spawn os.posix_spawnp | execute | run=1
os.execl os.execlp os.execle os.execlpe | execute | words=1
os.spawnv os.spawnve os.spawnvp os.spawnvpe | execute | run=2
os.spawnl os.spawnlp | execute | words=2
asyncio.create_subprocess_exec | execute | words=0
runpy.run_path execfile | execute | execute=0,path_name
runpy.run_module importlib.import_module __import__ importlib.reload | execute |
importlib.*.exec_module ctypes.CDLL ctypes.cdll.LoadLibrary ctypes.*.* imp.load_source imp.load_module
    | execute | execute=0,1
eval exec compile code.interact code.InteractiveInterpreter.runsource | execute | code=0,source
pickle.load pickle.loads marshal.loads marshal.load dill.load dill.loads cloudpickle.load cloudpickle.loads
    jsonpickle.decode yaml.load yaml.unsafe_load yaml.load_all shelve.open | execute decode |
pip.main pip._internal.main ensurepip.bootstrap setuptools.setup | install execute fetch |
requests.get requests.head requests.options httpx.get httpx.head httpx.stream urllib3.*.request_get
    | fetch connect | url=0,url
requests.post requests.put requests.patch httpx.post httpx.put httpx.patch | send connect | url=0,url
requests.delete httpx.delete | send delete connect | url=0,url
requests.request httpx.request | fetch connect | method=0,method url=1,url
requests.*.get requests.*.head httpx.*.get aiohttp.*.get httpx.*.stream | fetch connect | url=0,url
requests.*.post requests.*.put requests.*.patch httpx.*.post httpx.*.put httpx.*.patch aiohttp.*.post aiohttp.*.put
    aiohttp.*.patch | send connect | url=0,url
requests.*.delete httpx.*.delete aiohttp.*.delete | send delete connect | url=0,url
requests.*.request httpx.*.request aiohttp.*.request urllib3.*.request urllib3.request aiohttp.request
    | fetch connect | method=0,method url=1,url
requests.*.send httpx.*.send | send connect |
aiohttp.*.ws_connect websocket.create_connection websocket.WebSocketApp websockets.connect websockets.*.connect
    | connect send | url=0,url,uri
urllib.request.urlopen urllib.urlopen urllib2.urlopen urllib.request.build_opener.open urllib.*.open
    | fetch connect | url=0,url send=1,data
urllib.request.Request urllib2.Request | connect | url=0,url send=1,data
urllib.request.urlretrieve urllib.urlretrieve wget.download | fetch connect write | url=0,url write=1,filename,out
http.client.HTTPConnection http.client.HTTPSConnection httplib.HTTPConnection httplib.HTTPSConnection
    | connect | host=0+1
http.client.*.request httplib.*.request | send connect |
socket.socket.connect socket.socket.connect_ex socket.create_connection asyncio.open_connection telnetlib.Telnet
    telnetlib.Telnet.open ssl.*.connect socket.*.connect socket.*.connect_ex | connect | host=0+1
socket.*.send socket.*.sendall socket.*.sendfile ssl.*.send ssl.*.sendall | send connect |
socket.*.sendto | send connect | host=-1
socket.*.bind socket.*.listen socket.*.accept socket.create_server asyncio.start_server | listen | bind=0
socketserver.* http.server.* http.server.*.serve_forever http.server.test wsgiref.simple_server.make_server
    flask.*.run uvicorn.run aiohttp.web.run_app gradio.*.launch xmlrpc.server.* twisted.*.listenTCP waitress.serve
    tornado.*.listen | listen |
socket.gethostbyname socket.getaddrinfo socket.gethostbyaddr dns.resolver.* socket.getfqdn | connect | host=0,host
ftplib.FTP ftplib.FTP_TLS smtplib.SMTP smtplib.SMTP_SSL poplib.* imaplib.* nntplib.NNTP telnetlib.* ldap3.Server
    ldap.initialize | connect | host=0,host
ftplib.*.connect smtplib.*.connect | connect | host=0+1
ftplib.*.storbinary ftplib.*.storlines smtplib.*.sendmail smtplib.*.send_message | send connect |
ftplib.*.retrbinary ftplib.*.retrlines | fetch connect |
ftplib.*.delete ftplib.*.rmd | delete |
paramiko.*.connect fabric.Connection asyncssh.connect pysftp.Connection netmiko.ConnectHandler paramiko.Transport
    | connect | host=0,hostname,host
paramiko.*.exec_command asyncssh.*.run | execute connect | run=0,command
paramiko.*.put pysftp.*.put fabric.*.put scp.*.put | send connect | read=0,localpath
paramiko.*.get pysftp.*.get fabric.*.get scp.*.get | fetch connect write | write=1,localpath
paramiko.*.remove paramiko.*.rmdir | delete connect |
boto3.*.upload_file boto3.*.upload_fileobj boto3.*.put_object google.cloud.*.upload_from_filename
    google.cloud.*.upload_from_string azure.*.upload_blob minio.*.fput_object dropbox.*.files_upload
    | send connect | read=0,Filename,filename
boto3.*.download_file boto3.*.download_fileobj boto3.*.get_object google.cloud.*.download_to_filename
    minio.*.fget_object | fetch connect | write=2
boto3.*.delete_object boto3.*.delete_objects boto3.*.delete_bucket boto3.*.delete boto3.*.terminate_instances
    boto3.*.terminate boto3.*.delete_table boto3.*.delete_db_instance boto3.*.delete_stack boto3.*.delete_user
    | delete connect |
boto3.*.attach_user_policy boto3.*.attach_role_policy boto3.*.put_user_policy boto3.*.create_access_key
    boto3.*.create_user boto3.*.put_bucket_policy boto3.*.put_role_policy | grant connect |
boto3.*.get_secret_value boto3.*.get_parameter hvac.*.read_secret_version hvac.*.read keyring.get_password
    google.cloud.*.access_secret_version | read |
boto3.client boto3.resource boto3.Session | connect |
sqlite3.connect duckdb.connect | query | database=0,database
psycopg2.connect psycopg.connect pymysql.connect MySQLdb.connect mysql.connector.connect asyncpg.connect
    pyodbc.connect cx_Oracle.connect oracledb.connect pymssql.connect redis.Redis redis.StrictRedis
    pymongo.MongoClient cassandra.cluster.Cluster clickhouse_driver.Client elasticsearch.Elasticsearch
    | query connect | host=host,dbhost,0
sqlalchemy.create_engine redis.from_url redis.Redis.from_url | query connect | url=0
*.execute *.executemany *.executescript *.read_sql *.read_sql_query *.fetchval *.execute_query
    | query | sql=0,operation,query,statement,sql
sqlalchemy.text pandas.read_sql pandas.read_sql_query | query | sql=0,sql
pymongo.*.drop_database pymongo.*.drop pymongo.*.drop_collection pymongo.*.delete_many redis.*.flushall
    redis.*.flushdb pymongo.*.remove | delete |
pymongo.*.insert_one pymongo.*.insert_many pymongo.*.update_many pymongo.*.update_one redis.*.set | write |
docker.*.run docker.*.exec_run docker.*.build | execute start | run=1,command
docker.*.remove docker.*.prune | delete |
kubernetes.*.delete_namespaced_pod kubernetes.*.delete_namespace kubernetes.*.delete_namespaced_deployment
    | delete connect |
slack_sdk.*.chat_postMessage slack_sdk.*.files_upload slack_sdk.*.files_upload_v2 telegram.*.send_message
    telegram.*.send_document discord.*.send twilio.*.create sendgrid.*.send tweepy.*.update_status yagmail.*.send
    | send connect | read=file
git.Repo.clone_from git.*.clone_from | fetch connect write | url=0 write=1
git.*.push | send publish |
git.*.pull git.*.fetch | fetch |
huggingface_hub.hf_hub_download huggingface_hub.snapshot_download transformers.*.from_pretrained
    datasets.load_dataset | fetch connect |
huggingface_hub.*.upload_file huggingface_hub.upload_file huggingface_hub.upload_folder transformers.*.push_to_hub
    | send publish connect |
webbrowser.open webbrowser.open_new webbrowser.open_new_tab selenium.*.get playwright.*.goto
    | connect fetch | url=0,url
winreg.SetValueEx winreg.CreateKey winreg.CreateKeyEx winreg.DeleteKey winreg.DeleteValue winreg.OpenKey | configure |
crontab.CronTab crontab.*.new crontab.*.write schedule.every apscheduler.*.add_job sched.scheduler
    celery.*.apply_async | schedule |
sys.settrace sys.setrecursionlimit resource.setrlimit logging.disable gc.disable warnings.filterwarnings
    atexit.unregister | configure |
ssl._create_unverified_context requests.packages.urllib3.disable_warnings urllib3.disable_warnings | disable |
base64.b64decode base64.decodebytes base64.b32decode base64.b85decode base64.a85decode base64.urlsafe_b64decode
    binascii.unhexlify binascii.a2b_base64 bytes.fromhex codecs.decode zlib.decompress gzip.decompress
    bz2.decompress lzma.decompress urllib.parse.unquote | decode |
cryptography.*.encrypt Crypto.*.encrypt nacl.*.encrypt pyAesCrypt.encryptFile | encrypt | read=0
cryptography.*.decrypt Crypto.*.decrypt | decode |
smtpd.SMTPServer pynput.keyboard.Listener pynput.mouse.Listener keyboard.on_press | watch listen |
open io.open codecs.open pathlib.Path.open os.open aiofiles.open os.fdopen builtins.open file | read | open=0,file
""".strip()


def _rows() -> dict[str, Deed]:
    table: dict[str, Deed] = {}
    for line in _TABLE.replace("\n    ", " ").splitlines():
        names, effects, roles = (part.strip() for part in line.split("|"))
        parted = (role.partition("=") for role in roles.split())
        deed = Deed(tuple(effects.split()), {role: tuple(args.split(",")) for role, _, args in parted})
        for name in names.split():
            table.setdefault(name, deed)
    return table


CALLS = _rows()
NOTHING = Deed((), {})


def deed(name: str) -> Deed:
    """What is known of a function by its dotted name, else by its module and method, else by its method alone."""
    found = CALLS.get(name)
    if found is not None:
        return found
    parts = name.split(".")
    last = parts[-1]
    for size in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:size])
        found = CALLS.get(f"{module}.*.{last}") or (CALLS.get(f"{module}.*") if size < len(parts) else None)
        if found is not None:
            return found
    return CALLS.get(f"*.{last}", NOTHING) if len(parts) > 1 else NOTHING
