use super::*;
use aws_lc_rs::hmac;

/// RFC 5769 section 2.1: a request as a browser's agent would send it.
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff\
    80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
    80280004e57a3bcf";
/// The password of all samples in RFC 5769 section 2.
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn key(password: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password)
}

#[test]
fn the_request_of_rfc_5769_is_read_and_proved() {
    let bytes = hex(REQUEST);
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(request.local_ufrag(), b"evtj");
    assert!(request.is_signed_with(&key(PASSWORD)));
    assert!(!request.is_signed_with(&key(b"another password")));
    assert!(request.controlled);
    assert!(!request.use_candidate);
}

#[test]
fn a_flipped_bit_anywhere_is_never_accepted() {
    let bytes = hex(REQUEST);
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let accepted = Request::parse(&changed).is_ok_and(|request| request.is_signed_with(&key(PASSWORD)));
        assert!(!accepted, "bit {bit}");
    }
}

#[test]
fn a_cut_request_is_malformed() {
    let bytes = hex(REQUEST);
    for length in 0..bytes.len() {
        assert_eq!(Request::parse(&bytes[..length]).err(), Some(Malformed), "{length}");
    }
}

#[test]
fn the_answer_names_the_address_as_rfc_5769_writes_it() {
    let transaction = Request::parse(&hex(REQUEST)).unwrap().transaction();
    let v4 = success(transaction, "192.0.2.1:32853".parse().unwrap(), &key(PASSWORD));
    assert_eq!(v4[20..32], hex("002000080001a147e112a643"));
    let v6 =
        success(transaction, "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap(), &key(PASSWORD));
    assert_eq!(v6[20..44], hex("002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"));
}

#[test]
fn answers_carry_integrity_and_fingerprint() {
    for answer in [
        success([7; 12], "127.0.0.1:9".parse().unwrap(), &key(PASSWORD)),
        role_conflict([7; 12], &key(PASSWORD)),
    ] {
        // Only the type tells a request from an answer, so that the parser can prove both closing attributes
        // once a user name is in front of them.
        let body = answer.len() - 8 - 24;
        let mut signed = answer[..body].to_vec();
        let length = u16::try_from(answer.len() - 8 - 20).unwrap();
        signed[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(hmac::sign(&key(PASSWORD), &signed).as_ref(), &answer[body + 4..body + 24]);
        let crc = crc32(&answer[..answer.len() - 8]) ^ FINGERPRINT_XOR;
        assert_eq!(crc.to_be_bytes(), answer[answer.len() - 4..]);
    }
}
