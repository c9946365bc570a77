//! Running a command of the operator: an argument array without a shell, facts on its standard input, its output told line by line.
//!
//! Nothing of a transfer but its id stands in arguments or environment: other users of a computer can read the first, and names of
//! files are health data.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

/// Longest piece of output that is told at once, in bytes.
const MAX_LINE: usize = 4096;
/// How long output is still read after the command itself has ended, because something that it started holds it open.
const LEFTOVER: Duration = Duration::from_secs(1);
/// What is ours alone: where secrets lie, and how the service manager is spoken to.
const WITHHELD: [&str; 5] = [
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "SEALPOST_PASSPHRASE_FILE",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// A command to be run.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The program and its arguments.
    pub(super) words: &'a [OsString],
    /// Its standard input.
    pub(super) facts: &'a Value,
    /// Variables beside those of this process.
    pub(super) environment: Vec<(&'static str, OsString)>,
    pub(super) timeout: Duration,
}

impl Call<'_> {
    /// Runs it. Whatever it started ends with it when it takes too long, and when this future is dropped.
    ///
    /// # Errors
    /// Why it does not count as done, in a few words.
    pub(super) async fn run(&self, tell: &(dyn Fn(&str) + Send + Sync)) -> Result<(), String> {
        let (program, arguments) = self.words.split_first().ok_or("there is no command")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for name in WITHHELD {
            command.env_remove(name);
        }
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command
            .spawn()
            .map_err(|error| format!("it could not be started: {error}"))?;
        let group = Group::of(&child);
        let ended = tokio::time::timeout(self.timeout, self.attend(&mut child, tell)).await;
        match ended {
            Ok(Ok(status)) => {
                group.disarm();
                status.success().then_some(()).ok_or_else(|| status.to_string())
            }
            Ok(Err(error)) => Err(format!("its end is not known: {error}")),
            Err(_) => Err(format!(
                "it took longer than {} s and was ended",
                self.timeout.as_secs()
            )),
        }
    }

    async fn attend(
        &self,
        child: &mut Child,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> std::io::Result<std::process::ExitStatus> {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let document = format!("{}\n", self.facts);
        let write = async {
            if let Some(mut stdin) = stdin {
                // A command that does not read its input closes it; that is its right.
                let _ = stdin.write_all(document.as_bytes()).await;
            }
        };
        let read = async {
            tokio::join!(follow(stdout, tell), follow(stderr, tell));
        };
        let talk = async {
            tokio::join!(write, read);
        };
        tokio::pin!(talk);
        let status = tokio::select! {
            status = child.wait() => status,
            () = &mut talk => return child.wait().await,
        };
        // What it wrote before it ended is told.
        let _ = tokio::time::timeout(LEFTOVER, talk).await;
        status
    }
}

async fn follow(stream: Option<impl AsyncRead + Unpin>, tell: &(dyn Fn(&str) + Send + Sync)) {
    let Some(stream) = stream else {
        return;
    };
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(MAX_LINE as u64).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        tell(text.trim_end_matches(['\n', '\r']));
    }
}

/// The process group of a command, which is ended when this is dropped.
#[derive(Debug)]
struct Group(Option<u32>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id())
    }

    /// The command has ended by itself: what it left running on purpose goes on.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(pid) = self
            .0
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw)
        {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;

    async fn run(script: &str, timeout: Duration) -> (Result<(), String>, Vec<String>) {
        let words: Vec<OsString> = ["sh", "-c", script].map(OsString::from).to_vec();
        let lines = Mutex::new(Vec::new());
        let call = Call {
            words: &words,
            facts: &json!({"transfer": "0011"}),
            environment: vec![("SEALPOST_TRANSFER", "0011".into())],
            timeout,
        };
        let ended = call
            .run(&|line: &str| lines.lock().unwrap().push(line.to_owned()))
            .await;
        (ended, lines.into_inner().unwrap())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_command_gets_the_facts_and_its_output_is_told() {
        let (ended, lines) = run("cat; echo \"$SEALPOST_TRANSFER\" >&2", LONG).await;
        assert_eq!(ended, Ok(()));
        let mut lines = lines;
        lines.sort();
        assert_eq!(lines, ["0011", "{\"transfer\":\"0011\"}"]);
    }

    #[tokio::test]
    async fn failures_are_named() {
        assert!(run("exit 3", LONG).await.0.unwrap_err().contains('3'));
        let (ended, _) = run("sleep 600 & wait", Duration::from_millis(50)).await;
        assert!(ended.unwrap_err().contains("longer"));
        let words = [OsString::from("there/is/no/such/program")];
        let call = Call {
            words: &words,
            facts: &Value::Null,
            environment: Vec::new(),
            timeout: LONG,
        };
        assert!(call.run(&|_| {}).await.unwrap_err().contains("started"));
    }

    #[tokio::test]
    async fn what_a_command_leaves_running_does_not_hold_it_up() {
        let (ended, _) = run("sleep 5 & exit 0", LONG).await;
        assert_eq!(ended, Ok(()));
    }

    #[tokio::test]
    async fn an_endless_line_is_told_in_pieces() {
        let (ended, lines) = run("head -c 10000 /dev/zero | tr '\\0' x", LONG).await;
        assert_eq!(ended, Ok(()));
        assert_eq!(lines.iter().map(String::len).sum::<usize>(), 10_000);
        assert!(lines.iter().all(|line| line.len() <= MAX_LINE));
    }
}
