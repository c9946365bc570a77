//! The programs of others that are measured or needed to measure: installed by Debian's package names where they are missing. What
//! cannot be installed is named in the findings.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::run::Outcome;

/// A program and the package that has it.
const NEEDED: [(&str, &str); 10] = [
    ("/usr/sbin/nginx", "nginx"),
    (
        "/usr/lib/nginx/modules/ngx_http_dav_ext_module.so",
        "libnginx-mod-http-dav-ext",
    ),
    ("/usr/sbin/sshd", "openssh-server"),
    ("/usr/bin/sftp", "openssh-client"),
    ("/usr/bin/age", "age"),
    ("/usr/bin/rclone", "rclone"),
    ("/usr/bin/curl", "curl"),
    ("/usr/bin/openssl", "openssl"),
    ("/usr/sbin/ethtool", "ethtool"),
    ("/usr/sbin/ip", "iproute2"),
];

/// What is there.
#[derive(Debug)]
pub(super) struct Needs {
    missing: Vec<&'static str>,
}

impl Needs {
    /// Installs what is missing, as far as that is possible.
    pub(super) fn install() -> Outcome<Self> {
        let missing = missing();
        if !missing.is_empty() {
            println!("==> apt-get install -y {}", missing.join(" "));
            // The lists of a fresh system are empty; elsewhere they need no refreshing.
            if !install(&missing) && apt(&["update"]) {
                install(&missing);
            }
        }
        let missing = self::missing();
        for package in &missing {
            println!("    {package} is missing and could not be installed; what needs it is left out");
        }
        Ok(Self { missing })
    }

    /// Whether all these packages are there; else a sentence that says which is not.
    pub(super) fn have(&self, packages: &[&str]) -> Result<(), String> {
        let gone: Vec<&str> = packages
            .iter()
            .copied()
            .filter(|name| self.missing.contains(name))
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{} is not installed (`apt-get install {}`)",
            gone.join(", "),
            gone.join(" ")
        ))
    }
}

fn missing() -> Vec<&'static str> {
    let gone = NEEDED.iter().filter(|(file, _)| !Path::new(file).exists());
    gone.map(|(_, package)| *package).collect()
}

fn install(packages: &[&str]) -> bool {
    let mut words = vec!["install", "-y", "--no-install-recommends"];
    words.extend(packages);
    apt(&words)
}

fn apt(words: &[&str]) -> bool {
    let status = Command::new("apt-get")
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Nothing that is installed shall start a server of its own.
        .env("RUNLEVEL", "1")
        .stdout(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
