//! Reads what `strace -f -ttt -T -xx` wrote: system calls with the moments at which each was entered and left.
//!
//! A call that another thread interrupted stands in two lines, `<unfinished ...>` and `<... resumed>`. One that was never left
//! (the process was killed in it) may have been done or not. Texts are in hex, so that no comma or quote in them misleads.

use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use super::Outcome;
use super::acks::Micros;

/// A file descriptor.
pub type Fd = i64;
/// The current folder, as the `*at` calls name it.
pub const AT_FDCWD: Fd = -100;

/// A place in the tree: a path, seen from the folder of a descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The folder; [`AT_FDCWD`] for the current one.
    pub folder: Fd,
    /// The path.
    pub path: PathBuf,
}

/// What a call does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Opens a file or folder, perhaps a new one.
    Open {
        /// Where.
        at: At,
        /// Makes it if it is missing.
        create: bool,
        /// Empties it.
        truncate: bool,
        /// Makes a file without a name in the folder.
        unnamed: bool,
        /// Writes go to its end.
        append: bool,
    },
    /// Closes a descriptor.
    Close(Fd),
    /// Makes another descriptor, the call's result, for the same open file.
    Dup(Fd),
    /// Moves the position of an open file to the call's result.
    Seek(Fd),
    /// Writes bytes, at an offset or at the position.
    Write {
        /// Where to.
        fd: Fd,
        /// The offset, if the call names one.
        offset: Option<u64>,
        /// What.
        bytes: Vec<u8>,
    },
    /// Sets the length.
    Truncate(Fd, u64),
    /// Reserves blocks up to an end; `keeps` the length or raises it.
    Allocate {
        /// Of which file.
        fd: Fd,
        /// Whether the length stays.
        keeps: bool,
        /// Offset and length together.
        end: u64,
    },
    /// Makes a file, or the names in a folder, durable.
    Sync(Fd),
    /// Begins to write a part of a file, and promises nothing.
    SyncRange(Fd),
    /// Gives a file another name.
    Rename(At, At),
    /// Gives a file one more name.
    Link(At, At),
    /// Takes a name away.
    Unlink(At),
    /// Makes a folder.
    MakeFolder(At),
    /// Does nothing to what a power cut leaves.
    Nothing,
    /// Is not in the model; the descriptors that it names must not be of our files.
    Unknown(&'static str, Vec<Fd>),
}

/// A system call.
#[derive(Debug, Clone)]
pub struct Call {
    /// What it does.
    pub op: Op,
    /// Its result; none if it was never left.
    pub result: Option<i64>,
    /// Index of the event at which it was left.
    pub left: Option<usize>,
}

/// A moment in a trace.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// When.
    pub at: Micros,
    /// Index of the call.
    pub call: usize,
    /// Whether it is left; else it is entered.
    pub is_left: bool,
}

/// System calls in the order of their moments.
#[derive(Debug, Default)]
pub struct Trace {
    /// The calls.
    pub calls: Vec<Call>,
    /// When each is entered and left.
    pub events: Vec<Event>,
}

/// The pieces of a line.
struct Line<'a> {
    thread: &'a str,
    at: Micros,
    rest: &'a str,
}

impl Trace {
    /// Reads a whole trace.
    ///
    /// # Errors
    /// The line that cannot be read.
    pub fn parse(text: &str) -> Outcome<Self> {
        let mut trace = Self::default();
        let mut unfinished: HashMap<&str, (usize, &str)> = HashMap::new();
        for line in text.lines() {
            let bad = |why: &str| format!("{why} in the trace: {}", line.get(..200).unwrap_or(line));
            let Some(Line { thread, at, rest }) = split(line) else {
                return Err(bad("a line without a time"));
            };
            if rest.starts_with("+++") || rest.starts_with("---") {
                continue;
            }
            if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
                unfinished.insert(thread, (trace.enter(at), begun));
                continue;
            }
            if rest.starts_with("<... ") {
                let (_, ending) = rest.split_once(" resumed>").ok_or_else(|| bad("an odd end"))?;
                let (call, begun) = unfinished
                    .remove(thread)
                    .ok_or_else(|| bad("an end without a beginning"))?;
                let whole = format!("{begun}{ending}");
                trace.describe(call, &whole).ok_or_else(|| bad("an unreadable call"))?;
                trace.leave(call, at);
                continue;
            }
            let call = trace.enter(at);
            let took = trace.describe(call, rest).ok_or_else(|| bad("an unreadable call"))?;
            trace.leave(call, at + took);
        }
        for (call, begun) in unfinished.into_values() {
            // Its result is missing, and its arguments may be: then it had not begun.
            trace.describe(call, &format!("{begun}) = ?")).unwrap_or_default();
        }
        Ok(trace)
    }

    /// Takes every `sync_file_range` for a sync of the whole file. It is none; this shows what relying on it would be worth.
    pub fn trust_ranges(&mut self) {
        for call in &mut self.calls {
            if let Op::SyncRange(fd) = call.op {
                call.op = Op::Sync(fd);
            }
        }
    }

    /// Makes every sync do nothing, as a disk does that lies about it.
    pub fn ignore_syncs(&mut self) {
        for call in &mut self.calls {
            if matches!(call.op, Op::Sync(_)) {
                call.op = Op::Nothing;
            }
        }
    }

    fn enter(&mut self, at: Micros) -> usize {
        let call = self.calls.len();
        self.calls.push(Call {
            op: Op::Nothing,
            result: None,
            left: None,
        });
        self.events.push(Event {
            at,
            call,
            is_left: false,
        });
        call
    }

    fn leave(&mut self, call: usize, at: Micros) {
        if let Some(known) = self.calls.get_mut(call).filter(|known| known.result.is_some()) {
            known.left = Some(self.events.len());
            self.events.push(Event {
                at,
                call,
                is_left: true,
            });
        }
    }

    /// Reads `name(arguments) = result <seconds>` into a call, and returns how long it took.
    fn describe(&mut self, call: usize, text: &str) -> Option<Micros> {
        let (name, rest) = text.split_once('(')?;
        let (arguments, result) = rest.rsplit_once(" = ")?;
        let arguments = arguments.trim_end().strip_suffix(')')?;
        let mut words = result.split_whitespace();
        let number = words.next()?;
        let took = words.last().and_then(|word| word.strip_prefix('<')?.strip_suffix('>'));
        let took: f64 = took.and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0);
        let known = self.calls.get_mut(call)?;
        known.result = number.parse().ok().or_else(|| hex_number(number));
        known.op = operation(name, &split_arguments(arguments))?;
        micros(took)
    }
}

fn micros(seconds: f64) -> Option<Micros> {
    Micros::try_from(std::time::Duration::try_from_secs_f64(seconds).ok()?.as_micros()).ok()
}

fn hex_number(text: &str) -> Option<i64> {
    i64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn split(line: &str) -> Option<Line<'_>> {
    let (thread, rest) = line.split_once(' ')?;
    let (seconds, rest) = rest.trim_start().split_once(' ')?;
    let (whole, fraction) = seconds.split_once('.')?;
    let at = whole.parse::<Micros>().ok()? * 1_000_000 + fraction.parse::<Micros>().ok()?;
    Some(Line { thread, at, rest })
}

/// Arguments between commas that are in no bracket. Texts are hex in quotes.
fn split_arguments(text: &str) -> Vec<&str> {
    let mut arguments = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                arguments.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    arguments.extend(text.get(start..));
    arguments.into_iter().map(str::trim).collect()
}

/// The bytes of a text in hex, `"\x61\x62"`.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let inner = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    let bytes = inner.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |chunk: &[u8]| match chunk {
        [b'\\', b'x', high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    bytes.chunks(4).map(byte).collect()
}

/// The bytes of a vector of buffers, `[{iov_base="\x61", iov_len=1}, ...]`.
fn unhex_vector(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for piece in text.split("iov_base=").skip(1) {
        let (base, _) = piece.split_once(", iov_len")?;
        bytes.extend(unhex(base)?);
    }
    Some(bytes)
}

fn descriptor(text: &str) -> Option<Fd> {
    if text == "AT_FDCWD" {
        Some(AT_FDCWD)
    } else {
        text.parse().ok()
    }
}

fn at(folder: Option<&str>, path: &str) -> Option<At> {
    Some(At {
        folder: folder.map_or(Some(AT_FDCWD), descriptor)?,
        path: PathBuf::from(std::ffi::OsString::from_vec(unhex(path)?)),
    })
}

fn open(folder: Option<&str>, path: &str, flags: &str) -> Option<Op> {
    let has = |flag: &str| flags.split('|').any(|word| word == flag);
    Some(Op::Open {
        at: at(folder, path)?,
        create: has("O_CREAT"),
        truncate: has("O_TRUNC"),
        unnamed: has("O_TMPFILE") || has("__O_TMPFILE"),
        append: has("O_APPEND"),
    })
}

fn operation(name: &str, arguments: &[&str]) -> Option<Op> {
    let argument = |n: usize| arguments.get(n).copied();
    let number = |n: usize| argument(n)?.parse::<u64>().ok();
    let fd = |n: usize| descriptor(argument(n)?);
    let write = |bytes: Vec<u8>, offset| {
        Some(Op::Write {
            fd: fd(0)?,
            offset,
            bytes,
        })
    };
    match name {
        "open" => open(None, argument(0)?, argument(1)?),
        "creat" => open(None, argument(0)?, "O_CREAT|O_TRUNC"),
        "openat" => open(argument(0), argument(1)?, argument(2)?),
        "close" => Some(Op::Close(fd(0)?)),
        "dup" | "dup2" | "dup3" => Some(Op::Dup(fd(0)?)),
        "fcntl" if argument(1)?.starts_with("F_DUPFD") => Some(Op::Dup(fd(0)?)),
        "fcntl" => Some(Op::Nothing),
        "sync_file_range" => Some(Op::SyncRange(fd(0)?)),
        "lseek" => Some(Op::Seek(fd(0)?)),
        "write" => write(unhex(argument(1)?)?, None),
        "pwrite64" => write(unhex(argument(1)?)?, Some(number(3)?)),
        "writev" => write(unhex_vector(argument(1)?)?, None),
        "pwritev" => write(unhex_vector(argument(1)?)?, Some(number(3)?)),
        "ftruncate" => Some(Op::Truncate(fd(0)?, number(1)?)),
        "fallocate" => {
            let mode = argument(1)?;
            match mode {
                "0" | "FALLOC_FL_KEEP_SIZE" => Some(Op::Allocate {
                    fd: fd(0)?,
                    keeps: mode != "0",
                    end: number(2)? + number(3)?,
                }),
                _ => Some(Op::Unknown("fallocate with a mode", vec![fd(0)?])),
            }
        }
        "fsync" | "fdatasync" => Some(Op::Sync(fd(0)?)),
        "rename" => Some(Op::Rename(at(None, argument(0)?)?, at(None, argument(1)?)?)),
        "renameat" | "renameat2" => Some(Op::Rename(
            at(argument(0), argument(1)?)?,
            at(argument(2), argument(3)?)?,
        )),
        "link" => Some(Op::Link(at(None, argument(0)?)?, at(None, argument(1)?)?)),
        "linkat" => Some(Op::Link(at(argument(0), argument(1)?)?, at(argument(2), argument(3)?)?)),
        "unlink" | "rmdir" => Some(Op::Unlink(at(None, argument(0)?)?)),
        "unlinkat" => Some(Op::Unlink(at(argument(0), argument(1)?)?)),
        "mkdir" => Some(Op::MakeFolder(at(None, argument(0)?)?)),
        "mkdirat" => Some(Op::MakeFolder(at(argument(0), argument(1)?)?)),
        _ => Some(unknown(name, arguments)),
    }
}

/// A call that is not in the model, with every small number in it that could be a descriptor.
fn unknown(name: &str, arguments: &[&str]) -> Op {
    const KNOWN: [&str; 9] = [
        "copy_file_range",
        "sendfile",
        "splice",
        "pwritev2",
        "openat2",
        "truncate",
        "symlink",
        "symlinkat",
        "close_range",
    ];
    let label = KNOWN.iter().find(|known| **known == name).copied();
    let descriptors = arguments.iter().filter_map(|word| word.parse().ok()).collect();
    Op::Unknown(label.unwrap_or("another call"), descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_interrupt_each_other_are_put_together() {
        let text = "\
10 100.000001 openat(AT_FDCWD, \"\\x2f\\x61\", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 3 <0.000010>
10 100.000020 fsync(3 <unfinished ...>
11 100.000030 pwrite64(3, \"\\x2c\\x22\\x00\", 3, 4096) = 3 <0.000002>
10 100.000050 <... fsync resumed>)        = 0 <0.000030>
11 100.000060 writev(3, [{iov_base=\"\\x61\", iov_len=1}, {iov_base=\"\\x62\\x63\", iov_len=2}], 2) = -1 ENOSPC (No space left on device) <0.000001>
11 100.000070 fdatasync(3 <unfinished ...>
10 100.000080 +++ killed by SIGKILL +++
";
        let trace = Trace::parse(text).unwrap();
        let ops: Vec<&Op> = trace.calls.iter().map(|call| &call.op).collect();
        let [open, sync, write, vector, last] = ops[..] else {
            panic!("{ops:?}");
        };
        assert!(matches!(open, Op::Open { at, create: true, truncate: false, .. } if at.path.as_os_str() == "/a"));
        assert_eq!(*sync, Op::Sync(3));
        let (offset, bytes) = (Some(4096), b",\"\0".to_vec());
        assert_eq!(*write, Op::Write { fd: 3, offset, bytes });
        let bytes = b"abc".to_vec();
        assert_eq!(
            *vector,
            Op::Write {
                fd: 3,
                offset: None,
                bytes
            }
        );
        assert_eq!(*last, Op::Sync(3));
        let results: Vec<_> = trace.calls.iter().map(|call| call.result).collect();
        assert_eq!(results, [Some(3), Some(0), Some(3), Some(-1), None]);
        let moments: Vec<_> = trace
            .events
            .iter()
            .map(|event| (event.at - 100_000_000, event.call, event.is_left))
            .collect();
        let expected = [
            (1, 0, false),
            (11, 0, true),
            (20, 1, false),
            (30, 2, false),
            (32, 2, true),
            (50, 1, true),
            (60, 3, false),
            (61, 3, true),
            (70, 4, false),
        ];
        assert_eq!(moments, expected);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert!(
            Trace::parse("10 100.0 write(3, \"abc\", 3) = 3 <0.1>\n").is_err(),
            "a text that is not hex"
        );
        assert!(Trace::parse("nothing\n").is_err());
        let copied = Trace::parse("10 100.0 copy_file_range(3, NULL, 4, NULL, 5, 0) = 5 <0.1>\n").unwrap();
        assert!(matches!(&copied.calls[0].op, Op::Unknown("copy_file_range", fds) if fds.starts_with(&[3, 4])));
    }
}
