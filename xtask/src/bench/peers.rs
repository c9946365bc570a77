//! What the others do with the same bytes. Each put ends when the bytes are on the server's disk: where the server leaves that to
//! the kernel, with an fsync of what it stored.

use std::path::{Path, PathBuf};

use super::contest::Contestant;
use super::findings::Findings;
use super::needs::Needs;
use super::servers::{Nginx, Sshd};
use super::shell::quoted;
use super::text;
use super::timed::untimed;
use crate::run::Outcome;

/// The servers of the peers that are there, and keys for `age` and `rclone`.
pub(super) struct Peers {
    folder: PathBuf,
    log: PathBuf,
    nginx: Option<Nginx>,
    sshd: Option<Sshd>,
    has_age: bool,
    has_rclone: bool,
    /// Which are missing.
    pub(super) missing: Vec<String>,
}

const NGINX: [&str; 4] = ["nginx", "libnginx-mod-http-dav-ext", "curl", "openssl"];
const SSH: [&str; 2] = ["openssh-server", "openssh-client"];

impl Peers {
    /// Starts servers in `folder`.
    pub(super) fn start(needs: &Needs, folder: &Path) -> Outcome<Self> {
        let log = folder.join("peers.log");
        let mut missing = Vec::new();
        let mut has = |packages: &[&str]| needs.have(packages).map_err(|why| missing.push(why)).is_ok();
        let (has_nginx, has_sshd) = (has(&NGINX), has(&SSH));
        let (has_age, has_rclone) = (has(&["age"]), has(&["rclone"]));
        let nginx = has_nginx.then(|| Nginx::start(folder, "127.0.0.1", &[])).transpose()?;
        let sshd = has_sshd.then(|| Sshd::start(folder)).transpose()?;
        let peers = Self {
            folder: folder.to_path_buf(),
            log,
            nginx,
            sshd,
            has_age,
            has_rclone,
            missing,
        };
        peers.make_keys()?;
        Ok(peers)
    }

    /// Says which peers are missing.
    pub(super) fn note_missing(&self, findings: &mut Findings) {
        for why in &self.missing {
            findings.note(format!("Not compared, because {why}."));
        }
    }

    fn make_keys(&self) -> Outcome {
        if self.has_age {
            let (key, public) = (self.file("age.key"), self.file("age.pub"));
            untimed(
                &format!("age-keygen -o {key}; age-keygen -y {key} > {public}"),
                &self.log,
            )?;
        }
        if !self.has_rclone {
            return Ok(());
        }
        let mut remotes = String::new();
        if let Some(nginx) = &self.nginx {
            remotes.push_str(&format!(
                "[web]\ntype = webdav\nurl = {}/webdav\nvendor = other\n[webcrypt]\ntype = crypt\nremote = web:\n\
                 password = @\n",
                nginx.url
            ));
        }
        if let Some(sshd) = &self.sshd {
            remotes.push_str(&format!(
                "[files]\ntype = sftp\nhost = 127.0.0.1\nport = {}\nuser = {}\nkey_file = {}\nshell_type = unix\n\
                 [filescrypt]\ntype = crypt\nremote = files:{}/rclone\npassword = @\n",
                sshd.port,
                sshd.user,
                text(&sshd.key)?,
                text(&sshd.root)?
            ));
        }
        std::fs::write(self.folder.join("rclone.template"), remotes)?;
        untimed(
            &format!(
                "sed \"s|@|$(rclone obscure \"$(openssl rand -hex 16)\")|\" {} > {}",
                self.file("rclone.template"),
                self.file("rclone.conf")
            ),
            &self.log,
        )
    }

    fn file(&self, name: &str) -> String {
        quoted(self.folder.join(name))
    }

    fn rclone(&self) -> String {
        let certificate = self.nginx.as_ref().map(|nginx| quoted(&nginx.certificate));
        let trust = certificate.map_or_else(String::new, |file| format!("--ca-cert {file} "));
        format!("rclone --config {} {trust}--no-check-dest", self.file("rclone.conf"))
    }

    fn seal(&self) -> String {
        format!("age -e -R {}", self.file("age.pub"))
    }

    fn open(&self) -> String {
        format!("age -d -i {}", self.file("age.key"))
    }

    /// All peers for one large file that shall arrive in the folder `out`.
    pub(super) fn of_file<'a>(&self, source: &Path, out: &Path) -> Vec<Contestant<'a>> {
        let target = quoted(out.join(source.file_name().unwrap_or_default()));
        let source = quoted(source);
        let mut all = Vec::new();
        if let Some(nginx) = &self.nginx {
            let (curl, url) = (format!("{} --http1.1", nginx.curl()), &nginx.url);
            let folder = nginx.root.join("bulk");
            let stored = quoted(folder.join("file"));
            all.push(Contestant {
                key: "curl",
                name: "curl to nginx, TLS 1.3: *plaintext at the server*",
                server: nginx.server.pid(),
                put: format!("{curl} -T {source} {url}/bulk/file; sync -d {stored}"),
                get: fixed(format!("{curl} -o {target} {url}/bulk/file")),
                stored: vec![folder.clone()],
            });
            if self.has_age {
                let (seal, open) = (self.seal(), self.open());
                all.push(Contestant {
                    key: "age_curl",
                    name: "age piped into curl to nginx",
                    server: nginx.server.pid(),
                    put: format!("{seal} {source} | {curl} -T - {url}/bulk/file; sync -d {stored}"),
                    get: fixed(format!("{curl} {url}/bulk/file | {open} -o {target}")),
                    stored: vec![folder],
                });
            }
            if self.has_rclone {
                let (rclone, folder) = (self.rclone(), nginx.root.join("webdav"));
                let stored = quoted(&folder);
                all.push(Contestant {
                    key: "rclone",
                    name: "rclone crypt to WebDAV on nginx",
                    server: nginx.server.pid(),
                    put: format!("{rclone} copyto {source} webcrypt:file; sync -d {stored}/*"),
                    get: fixed(format!("{rclone} copyto webcrypt:file {target}")),
                    stored: vec![folder],
                });
            }
        }
        if let Some(sshd) = &self.sshd {
            let (sftp, folder) = (sshd.sftp(), sshd.root.join("bulk"));
            let stored = quoted(folder.join("file"));
            all.push(Contestant {
                key: "sftp",
                name: "sftp -f: *plaintext at the server*",
                server: sshd.server.pid(),
                put: format!("echo \"put -f {source} {stored}\" | {sftp}"),
                get: fixed(format!("echo \"get {stored} {target}\" | {sftp}")),
                stored: vec![folder.clone()],
            });
            if self.has_age {
                let (ssh, seal, open) = (sshd.ssh(), self.seal(), self.open());
                all.push(Contestant {
                    key: "age_ssh",
                    name: "age piped into ssh",
                    server: sshd.server.pid(),
                    put: format!("{seal} {source} | {ssh} \"cat > {stored}; sync -d {stored}\""),
                    get: fixed(format!("{ssh} \"cat {stored}\" | {open} -o {target}")),
                    stored: vec![folder],
                });
            }
        }
        all
    }

    /// All peers for a folder of small files, whose files shall arrive in the folder `out`.
    pub(super) fn of_folder<'a>(&self, source: &Path, out: &Path) -> Outcome<Vec<Contestant<'a>>> {
        let mut all = Vec::new();
        let (from, to) = (quoted(source), quoted(out));
        if let Some(nginx) = &self.nginx {
            let (up, down) = self.lists(source, out, nginx)?;
            let curl = format!("{} --http2 -Z --parallel-max 16", nginx.curl());
            let folder = nginx.root.join("small");
            all.push(Contestant {
                key: "curl",
                name: "curl, HTTP/2, 16 at once, to nginx: *plaintext*",
                server: nginx.server.pid(),
                put: format!("{curl} -K {up}; sync -f {}", quoted(&folder)),
                get: fixed(format!("{curl} -K {down}")),
                stored: vec![folder],
            });
        }
        let Some(sshd) = &self.sshd else {
            return Ok(all);
        };
        let (ssh, sftp) = (sshd.ssh(), sshd.sftp());
        let server = sshd.server.pid();
        let folder = sshd.root.join("small");
        let stored = quoted(&folder);
        if self.has_age {
            let (seal, open) = (self.seal(), self.open());
            let one = quoted(folder.join("all"));
            all.push(Contestant {
                key: "tar_age_ssh",
                name: "tar piped through age into ssh: one opaque object",
                server,
                put: format!("tar -C {from} -cf - . | {seal} | {ssh} \"cat > {one}; sync -d {one}\""),
                get: fixed(format!("{ssh} \"cat {one}\" | {open} | tar -C {to} -xf -")),
                stored: vec![folder.clone()],
            });
        }
        if self.has_rclone {
            let rclone = format!("{} --sftp-disable-hashcheck --transfers 16", self.rclone());
            let folder = sshd.root.join("rclone");
            all.push(Contestant {
                key: "rclone",
                name: "rclone crypt over sftp, hash check off, 16 at once",
                server,
                put: format!("{rclone} copy {from} filescrypt:d; sync -f {}", quoted(&folder)),
                get: fixed(format!("{rclone} copy filescrypt:d {to}")),
                stored: vec![folder],
            });
        }
        all.push(Contestant {
            key: "sftp",
            name: "sftp -rf, an fsync each: *plaintext*",
            server,
            put: format!("echo \"put -rf {from}/. {stored}/\" | {sftp}"),
            get: fixed(format!("echo \"get -r {stored}/. {to}/\" | {sftp}")),
            stored: vec![folder],
        });
        Ok(all)
    }

    /// Files with the names for curl: what goes up, and what comes down.
    fn lists(&self, source: &Path, out: &Path, nginx: &Nginx) -> Outcome<(String, String)> {
        let (mut up, mut down) = (String::new(), String::new());
        for entry in std::fs::read_dir(source)? {
            let name = entry?.file_name();
            let url = format!("{}/small/{}", nginx.url, text(Path::new(&name))?);
            let (from, to) = (source.join(&name), out.join(&name));
            up.push_str(&format!(
                "upload-file = \"{}\"\nurl = \"{url}\"\noutput = \"/dev/null\"\n",
                text(&from)?
            ));
            down.push_str(&format!("url = \"{url}\"\noutput = \"{}\"\n", text(&to)?));
        }
        std::fs::write(self.folder.join("up"), up)?;
        std::fs::write(self.folder.join("down"), down)?;
        Ok((self.file("up"), self.file("down")))
    }
}

/// A line that is known from the start.
fn fixed<'a>(line: String) -> super::contest::Getting<'a> {
    Box::new(move || Ok(line.clone()))
}
