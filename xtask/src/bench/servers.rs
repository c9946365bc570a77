//! Servers as processes of their own: what is started here ends with this command, whatever happens to it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process, kill_process_group};

use super::machine::said;
use super::timed::{tail, untimed};
use super::{shell, text};
use crate::run::Outcome;

const STOP: Duration = Duration::from_secs(20);

/// A server that is ended when dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
}

impl Server {
    /// Starts `words` with these variables; what it says goes to the file `log`. It ends with the thread that starts it.
    pub(super) fn start(words: &[String], variables: &[(&str, String)], log: &Path) -> Outcome<Self> {
        let out = File::options().append(true).create(true).open(log)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .args(words)
            .envs(variables.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn();
        let child = child.map_err(|error| format!("`setpriv` of util-linux cannot be started: {error}"))?;
        Ok(Self { child })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Asks it to stop and waits until it has.
    pub(super) fn stop(&mut self) -> Outcome {
        if self.has_ended() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let until = Instant::now() + STOP;
        while !self.has_ended() {
            if Instant::now() > until {
                return Err("a server did not stop within twenty seconds".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Ends it and its children at once.
    pub(super) fn kill(&mut self) {
        if !self.has_ended() {
            // Either may have ended meanwhile.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stop().is_err() {
            self.kill();
        }
    }
}

/// nginx over TLS 1.3 that takes PUT into a folder.
#[derive(Debug)]
pub(super) struct Nginx {
    pub(super) server: Server,
    /// Where what was put lies.
    pub(super) root: PathBuf,
    /// Where it is asked.
    pub(super) url: String,
    /// The certificate to trust.
    pub(super) certificate: PathBuf,
}

impl Nginx {
    /// In `folder` at `address`, with `before` before its command line.
    pub(super) fn start(folder: &Path, address: &str, before: &[String]) -> Outcome<Self> {
        let own = folder.join("nginx");
        let (root, certificate, key) = (own.join("root"), own.join("certificate.pem"), own.join("key.pem"));
        fs::create_dir_all(root.join("webdav"))?;
        fs::create_dir_all(own.join("body"))?;
        let log = own.join("log");
        untimed(
            &format!(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bench \
                 -addext subjectAltName=IP:{address} -keyout {} -out {}",
                shell::quoted(&key),
                shell::quoted(&certificate)
            ),
            &log,
        )?;
        let port = free_port()?;
        let configuration = own.join("nginx.conf");
        fs::write(&configuration, nginx_conf(&own, address, port)?)?;
        let mut words = before.to_vec();
        words.extend(["/usr/sbin/nginx", "-e", text(&log)?, "-c", text(&configuration)?].map(str::to_owned));
        let server = Server::start(&words, &[], &log)?;
        let mut nginx = Self {
            server,
            root,
            url: format!("https://{address}:{port}"),
            certificate,
        };
        let probe = format!("{} {} {}/", shell_words(before), nginx.curl(), nginx.url);
        nginx.wait(&probe, &log)?;
        Ok(nginx)
    }

    /// Waits until it answers, be it with a refusal.
    fn wait(&mut self, probe: &str, log: &Path) -> Outcome {
        let until = Instant::now() + STOP;
        while untimed(&format!("{} > /dev/null", probe.replace("--fail ", "")), log).is_err() {
            if Instant::now() > until || self.server.has_ended() {
                return Err(format!("nginx did not start; {}", tail(log)).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// curl, set up to ask it.
    pub(super) fn curl(&self) -> String {
        format!(
            "curl -sS --fail --tlsv1.3 --cacert {}",
            shell::quoted(&self.certificate)
        )
    }
}

/// Words before a command line, for a shell.
pub(super) fn shell_words(words: &[String]) -> String {
    words.iter().map(shell::quoted).collect::<Vec<_>>().join(" ")
}

fn nginx_conf(own: &Path, address: &str, port: u16) -> Outcome<String> {
    let own = text(own)?;
    // As root its workers would be another user, who may not enter our folder.
    let user = if geteuid().is_root() { "user root;" } else { "" };
    Ok(format!(
        "daemon off; {user} worker_processes 2; pid {own}/pid; error_log {own}/log;\n\
         load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         access_log off; sendfile on; tcp_nopush on; client_max_body_size 0; client_body_buffer_size 1m;\n\
         keepalive_requests 1000000; client_body_temp_path {own}/body; proxy_temp_path {own}/proxy;\n\
         fastcgi_temp_path {own}/fastcgi; scgi_temp_path {own}/scgi; uwsgi_temp_path {own}/uwsgi;\n\
         ssl_certificate {own}/certificate.pem; ssl_certificate_key {own}/key.pem; ssl_protocols TLSv1.3;\n\
         server {{ listen {address}:{port} ssl http2; root {own}/root;\n\
         location / {{ dav_methods PUT DELETE MKCOL MOVE; dav_ext_methods PROPFIND OPTIONS;\n\
         create_full_put_path on; dav_access user:rw; }} }} }}\n"
    ))
}

/// OpenSSH with a host key and a user key of its own.
#[derive(Debug)]
pub(super) struct Sshd {
    pub(super) server: Server,
    /// Where what was put lies.
    pub(super) root: PathBuf,
    /// The key of the user.
    pub(super) key: PathBuf,
    /// Where it listens.
    pub(super) port: u16,
    /// Whoever runs this.
    pub(super) user: String,
}

impl Sshd {
    /// In `folder`.
    pub(super) fn start(folder: &Path) -> Outcome<Self> {
        let own = folder.join("sshd");
        let (root, key, host) = (own.join("root"), own.join("user"), own.join("host"));
        fs::create_dir_all(&root)?;
        let log = own.join("log");
        for key in [&key, &host] {
            untimed(
                &format!("ssh-keygen -q -t ed25519 -N '' -f {}", shell::quoted(key)),
                &log,
            )?;
        }
        if geteuid().is_root() {
            fs::create_dir_all("/run/sshd")?;
        }
        let port = free_port()?;
        let configuration = own.join("sshd_config");
        let shown = text(&own)?;
        fs::write(
            &configuration,
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/user.pub\n\
                 PasswordAuthentication no\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPidFile none\n\
                 Subsystem sftp /usr/lib/openssh/sftp-server\n"
            ),
        )?;
        let words = ["/usr/sbin/sshd", "-D", "-e", "-f", text(&configuration)?].map(str::to_owned);
        let mut sshd = Self {
            server: Server::start(&words, &[], &log)?,
            root,
            key,
            port,
            user: said("id", &["-un"])?,
        };
        sshd.wait(&log)?;
        Ok(sshd)
    }

    fn wait(&mut self, log: &Path) -> Outcome {
        let until = Instant::now() + STOP;
        let probe = format!("{} true", self.ssh());
        while untimed(&probe, log).is_err() {
            if Instant::now() > until || self.server.has_ended() {
                return Err(format!("sshd did not start; {}", tail(log)).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn options(&self) -> String {
        format!(
            "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes -i {}",
            shell::quoted(&self.key)
        )
    }

    /// ssh to it; a remote command follows.
    pub(super) fn ssh(&self) -> String {
        format!("ssh {} -p {} {}@127.0.0.1", self.options(), self.port, self.user)
    }

    /// sftp that takes its commands from the standard input.
    pub(super) fn sftp(&self) -> String {
        format!(
            "sftp -q -b - {} -P {} {}@127.0.0.1",
            self.options(),
            self.port,
            self.user
        )
    }
}

/// A port of this machine that is free just now.
pub(super) fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
