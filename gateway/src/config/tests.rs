//! The sample, the environment, and what is refused.

use std::net::IpAddr;

use super::*;

const SAMPLE: &str = include_str!("../../../deploy/gateway.toml");

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, file).unwrap();
    let owned = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::load(Some(&path), owned.collect())
}

#[test]
fn no_configuration_is_a_good_one() {
    assert_eq!(Config::load(None, HashMap::new()).unwrap(), Config::default());
    assert_eq!(Config::default().ring_folder(), PathBuf::from("sealpost-data-ring"));
    assert_eq!(Config::default().url(1234), "https://localhost:1234");
}

#[test]
fn the_sample_names_every_key_at_its_default() {
    assert_eq!(load(SAMPLE, &[]).unwrap(), Config::default());
    // A setting that is commented out is `#key = value` without a space; prose has one.
    let settings: String = SAMPLE
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .unwrap_or(line)
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let expected = Config {
        public_url: Some("https://localhost:8443".to_owned()),
        ring_dir: Some("sealpost-data-ring".into()),
        tls: Tls {
            certificate: Some("certificate.pem".into()),
            private_key: Some("private-key.pem".into()),
        },
        ..Config::default()
    };
    assert_eq!(load(&settings, &[]).unwrap(), expected);
    let keys = settings.lines().filter(|line| line.contains(" = ")).count();
    assert_eq!(keys, 30, "a key is missing in the sample or here");
}

#[test]
fn environment_comes_after_the_file() {
    let loaded = load(
        "listen = \"0.0.0.0:1\"\npublic_url = \"https://gw\"\nshutdown_deadline = 3\n[log]\nformat = \"json\"\n",
        &[
            ("SEALPOST__LISTEN", "0.0.0.0:2"),
            ("SEALPOST__LIMITS__CONNECTIONS", "7"),
            ("SEALPOST_HOME", "for the client"),
            ("SEALPOST__TRUSTED_PROXIES", "10.0.0.0/8,2001:db8::1"),
            ("SEALPOST__HEALTH__LISTEN", "off"),
            ("SEALPOST__CLOCK__REQUIRE_SYNC", "true"),
            ("PATH", "/bin"),
        ],
    );
    let loaded = loaded.unwrap();
    assert_eq!(loaded.listen.port(), 2);
    assert_eq!(loaded.shutdown_deadline, 3);
    assert_eq!(loaded.limits.connections, 7);
    let proxy = |text: &str| loaded.trusted_proxies.contain(text.parse::<IpAddr>().unwrap());
    assert!(proxy("10.1.2.3") && proxy("2001:db8::1") && !proxy("192.0.2.1"));
    assert_eq!(loaded.health.listen, HealthListen::Off);
    assert!(loaded.clock.require_sync);
    assert_eq!(loaded.log.format, LogFormat::Json);
}

#[test]
fn unknown_keys_and_impossible_values_are_refused() {
    for file in [
        "lisen = \"0.0.0.0:1\"",
        "[limits]\nconnection = 1",
        "[tls]\ncertificate = \"only.pem\"",
        "public_url = \"http://gw\"",
        "public_url = \"https://gw/path\"",
        "listen = \"0.0.0.0:8443\"",
        "listen = \"nowhere\"",
        "[limits]\nconnections = 0",
        "[limits]\nconnections_per_address = 0",
        "[limits]\nrequest_burst_per_account = 0",
        "[limits]\ndisk_refuse_transfers = 101",
        "[limits]\ndisk_refuse_transfers = 95",
        "trusted_proxies = [\"10.0.0.0/33\"]",
        "[health]\nlisten = \"0.0.0.0:8444\"",
        "[health]\nlisten = \"\"",
        "[log]\nlevel = \"loud\"",
        "not toml",
    ] {
        assert!(load(file, &[]).is_err(), "{file}");
    }
    for variable in ["SEALPOST__LISEN", "SEALPOST__LIMITS__CONNECTION", "SEALPOST__TLS"] {
        assert!(load("", &[(variable, "1")]).is_err(), "{variable}");
    }
    assert!(Config::load(Some(Path::new("does-not-exist.toml")), HashMap::new()).is_err());
}
