//! Synthetic patient files, made by the project itself: no real person, no file of anybody else.
//!
//! They have the form that clinics send (a C-CDA note, a PDF with text, a DICOM image) so that what a search on a disk looks
//! for is what would really be there: element names, repeated phrases, pixel noise.

use std::fmt::Write as _;

/// A file with its name.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Name that the sender gives it. It names the patient, as such names do.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A C-CDA referral note, a PDF report and a DICOM image about one patient.
#[must_use]
pub fn referral(patient: &str) -> Vec<Sample> {
    let stem = patient.replace(' ', "-").to_lowercase();
    vec![
        Sample {
            name: format!("{stem}-referral.xml"),
            bytes: ccda(patient).into_bytes(),
        },
        Sample {
            name: format!("{stem}-report.pdf"),
            bytes: pdf(patient),
        },
        Sample {
            name: format!("{stem}-chest.dcm"),
            bytes: dicom(patient, 384),
        },
    ]
}

/// A small clinical document with a header, a patient and three sections.
#[must_use]
pub fn ccda(patient: &str) -> String {
    let (given, family) = patient.split_once(' ').unwrap_or((patient, "Unknown"));
    let mut text =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\">\n");
    text.push_str("  <realmCode code=\"US\"/>\n  <title>Referral Note (synthetic)</title>\n");
    let _ = writeln!(
        text,
        "  <recordTarget><patientRole><id extension=\"SYN-000417\"/><patient>"
    );
    let _ = writeln!(text, "    <name><given>{given}</given><family>{family}</family></name>");
    text.push_str("    <birthTime value=\"19610704\"/>\n  </patient></patientRole></recordTarget>\n  <component><structuredBody>\n");
    let sections = [
        (
            "Reason for referral",
            "persistent cough for six weeks, opacity in the left upper lobe on the plain film",
        ),
        (
            "Medications",
            "lisinopril 10 mg once daily; albuterol inhaler as needed; no known drug allergies",
        ),
        (
            "Assessment",
            "computed tomography of the chest and an opinion of pulmonology are requested",
        ),
    ];
    for (title, body) in sections {
        let _ = writeln!(
            text,
            "    <component><section><title>{title}</title><text>{patient}: {body}.</text></section></component>"
        );
    }
    text.push_str("  </structuredBody></component>\n</ClinicalDocument>\n");
    text
}

/// A one-page PDF whose text is not compressed, with a cross-reference table that readers accept.
#[must_use]
pub fn pdf(patient: &str) -> Vec<u8> {
    let lines = [
        format!("Radiology report for {patient} (synthetic)"),
        "Technique: plain film of the chest, two projections.".to_owned(),
        "Finding: opacity of 14 mm in the left upper lobe.".to_owned(),
        "Recommendation: computed tomography within two weeks.".to_owned(),
    ];
    let mut page = String::from("BT /F1 12 Tf 72 720 Td 16 TL\n");
    for line in &lines {
        let _ = writeln!(page, "({}) Tj T*", line.replace(['(', ')', '\\'], " "));
    }
    page.push_str("ET\n");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{page}endstream", page.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut text = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(text.len());
        let _ = write!(text, "{} 0 obj\n{object}\nendobj\n", index + 1);
    }
    let table = text.len();
    let _ = write!(text, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in offsets {
        let _ = writeln!(text, "{offset:010} 00000 n ");
    }
    let _ = write!(
        text,
        "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    );
    text.into_bytes()
}

/// A DICOM image (explicit VR, little endian) of `side` × `side` pixels with 16 bits of noise each.
#[must_use]
pub fn dicom(patient: &str, side: u16) -> Vec<u8> {
    let mut meta = Vec::new();
    short_element(&mut meta, (0x0002, 0x0002), *b"UI", b"1.2.840.10008.5.1.4.1.1.7\0");
    short_element(&mut meta, (0x0002, 0x0010), *b"UI", b"1.2.840.10008.1.2.1\0");
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    let length = u32::try_from(meta.len()).unwrap_or(u32::MAX);
    short_element(&mut file, (0x0002, 0x0000), *b"UL", &length.to_le_bytes());
    file.extend_from_slice(&meta);
    let mut name = patient.split(' ').rev().collect::<Vec<_>>().join("^").into_bytes();
    if name.len() % 2 == 1 {
        name.push(b' ');
    }
    short_element(&mut file, (0x0008, 0x0060), *b"CS", b"CR");
    short_element(&mut file, (0x0010, 0x0010), *b"PN", &name);
    short_element(&mut file, (0x0010, 0x0020), *b"LO", b"SYN-000417");
    for (element, value) in [
        (0x0002, 1),
        (0x0010, side),
        (0x0011, side),
        (0x0100, 16),
        (0x0101, 16),
        (0x0102, 15),
    ] {
        short_element(&mut file, (0x0028, element), *b"US", &value.to_le_bytes());
    }
    let pixels = noise(usize::from(side) * usize::from(side) * 2);
    file.extend_from_slice(&[0xE0, 0x7F, 0x10, 0x00, b'O', b'W', 0, 0]);
    file.extend_from_slice(&u32::try_from(pixels.len()).unwrap_or(u32::MAX).to_le_bytes());
    file.extend_from_slice(&pixels);
    file
}

/// `len` bytes that do not repeat and are the same at every call (xorshift64*).
#[must_use]
pub fn noise(len: usize) -> Vec<u8> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn short_element(file: &mut Vec<u8>, (group, element): (u16, u16), representation: [u8; 2], value: &[u8]) {
    file.extend_from_slice(&group.to_le_bytes());
    file.extend_from_slice(&element.to_le_bytes());
    file.extend_from_slice(&representation);
    file.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    file.extend_from_slice(value);
}
