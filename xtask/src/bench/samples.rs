//! What is sent: files of pseudo-random bytes, the same in every run, which nothing can compress; and small files in the form of
//! X12 claims. And whether what came out is what went in.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write as _};
use std::path::Path;

use crate::run::Outcome;

const BLOCK: usize = 1 << 20;

/// Numbers that look random (SplitMix64). Good enough for bytes that nothing shall compress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.next().to_le_bytes();
            chunk.iter_mut().zip(number).for_each(|(byte, random)| *byte = random);
        }
    }
}

/// Writes a file of `len` bytes, durable.
pub(super) fn random_file(path: &Path, len: u64, seed: u64) -> Outcome {
    let mut numbers = Numbers::new(seed);
    let mut file = File::create(path)?;
    let mut block = vec![0; BLOCK];
    let mut left = len;
    while left > 0 {
        numbers.fill(&mut block);
        let now = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        file.write_all(block.get(..now).unwrap_or_default())?;
        left -= now as u64;
        super::interrupt::check()?;
    }
    Ok(file.sync_all()?)
}

/// Writes `count` files of about 10 KiB into the new folder `path`: one interchange of X12 professional claims each, made up.
pub(super) fn claims(path: &Path, count: u64) -> Outcome {
    fs::create_dir_all(path)?;
    for n in 0..count {
        let mut file = BufWriter::new(File::create(path.join(format!("claim-{n:05}.edi")))?);
        file.write_all(claim(n).as_bytes())?;
        file.flush()?;
    }
    Ok(())
}

/// One interchange with made-up claims until it has 10 KiB.
fn claim(n: u64) -> String {
    let mut numbers = Numbers::new(n);
    let mut text = format!(
        "ISA*00*          *00*          *ZZ*BENCHSENDER    *ZZ*BENCHPAYER     *260101*0000*^*00501*{:09}*0*T*:~\n\
         GS*HC*BENCHSENDER*BENCHPAYER*20260101*0000*{n}*X*005010X222A1~\nST*837*0001*005010X222A1~\n",
        n % 1_000_000_000
    );
    while text.len() < 10_200 {
        let (account, cents, service) = (numbers.next() % 1_000_000_000, numbers.next() % 90_000, numbers.next());
        text.push_str(&format!(
            "CLM*SYN{account:09}*{}.{:02}***11:B:1*Y*A*Y*Y~\nHI*ABK:Z{:03}~\nLX*1~\nSV1*HC:99{:03}*{}.{:02}*UN*1***1~\n",
            cents / 100,
            cents % 100,
            service % 1000,
            service / 1000 % 1000,
            cents / 100,
            cents % 100
        ));
    }
    text.push_str(&format!("SE*1*0001~\nGE*1*{n}~\nIEA*1*{:09}~\n", n % 1_000_000_000));
    text
}

/// Fails unless `received` has the bytes of `sent`: a file, or a folder with the same names and nothing else.
pub(super) fn compare(sent: &Path, received: &Path) -> Outcome {
    if sent.is_file() {
        return if is_same(sent, received)? {
            Ok(())
        } else {
            Err(format!("{} is not what was sent", received.display()).into())
        };
    }
    let mut count = 0;
    for entry in fs::read_dir(sent)? {
        let entry = entry?;
        compare(&entry.path(), &received.join(entry.file_name()))?;
        count += 1;
    }
    let arrived = fs::read_dir(received)?.count();
    if arrived != count {
        return Err(format!("{arrived} files arrived instead of {count}").into());
    }
    Ok(())
}

fn is_same(left: &Path, right: &Path) -> Outcome<bool> {
    let open = |path: &Path| File::open(path).map_err(|error| format!("{}: {error}", path.display()));
    let (mut left, mut right) = (open(left)?, open(right)?);
    if left.metadata()?.len() != right.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (vec![0; BLOCK], vec![0; BLOCK]);
    loop {
        let read = left.read(&mut one)?;
        if read == 0 {
            return Ok(true);
        }
        let (one, other) = (one.get(..read), other.get_mut(..read));
        let (Some(one), Some(other)) = (one, other) else {
            return Ok(false);
        };
        right.read_exact(other)?;
        if one != other {
            return Ok(false);
        }
    }
}

/// Reads a whole file, so that the page cache has it.
pub(super) fn read_through(path: &Path) -> Outcome {
    let mut file = BufReader::with_capacity(BLOCK, File::open(path)?);
    std::io::copy(&mut file, &mut std::io::sink())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_and_a_missing_file_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let (sent, received) = (folder.path().join("sent"), folder.path().join("received"));
        claims(&sent, 3).expect("claims");
        claims(&received, 3).expect("claims");
        compare(&sent, &received).expect("the same");
        let one = received.join("claim-00001.edi");
        let mut bytes = fs::read(&one).expect("a file");
        bytes[5_000] ^= 1;
        fs::write(&one, &bytes).expect("a change");
        assert!(compare(&sent, &received).is_err());
        fs::remove_file(&one).expect("a file to remove");
        assert!(compare(&sent, &received).is_err());
    }

    #[test]
    fn claims_are_about_ten_kib_and_differ() {
        let (one, other) = (claim(1), claim(2));
        assert!((10_000..10_600).contains(&one.len()), "{}", one.len());
        assert_ne!(one, other);
        assert_eq!(one, claim(1));
    }

    #[test]
    fn a_random_file_has_its_length() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        random_file(&path, 1_500_001, 7).expect("a file");
        assert_eq!(fs::metadata(&path).expect("a file").len(), 1_500_001);
    }
}
