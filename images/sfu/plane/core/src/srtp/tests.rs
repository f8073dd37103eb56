use super::cipher::Cipher;
use super::derivation::{Label, apply_key_stream, counter_key, derive};
use super::window::Window;
use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn with_room(mut packet: Vec<u8>) -> Vec<u8> {
    packet.resize(packet.len() + MAX_OVERHEAD, 0);
    packet
}

#[test]
fn session_keys_are_those_of_rfc_3711_appendix_b3() {
    let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
    let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
    let derived = |label, length| {
        let mut out = vec![0; length];
        derive(&key, &salt, label, &mut out);
        out
    };
    assert_eq!(derived(Label::RtpEncryption, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(Label::RtpSalt, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(derived(Label::RtpAuthentication, 20), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

#[test]
fn the_key_stream_is_that_of_rfc_3711_appendix_b2() {
    let mut stream = vec![0; 32];
    let counter = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
    apply_key_stream(&counter_key(&hex("2B7E151628AED2A6ABF7158809CF4F3C")), counter, &mut stream);
    assert_eq!(stream, hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB"));
}

#[test]
fn rtp_under_gcm_is_that_of_rfc_7714_section_16() {
    let salt = hex("517569642070726f2071756f").try_into().unwrap();
    let cipher = Cipher::gcm(&hex("000102030405060708090a0b0c0d0e0f"), salt);
    let plain = hex(
        "8040f17b8041f8d35501a0b2 47616c6c696120657374206f6d6e697320646976697361 20696e207061727465732074726573",
    );
    let sealed = hex(
        "8040f17b8041f8d35501a0b2 f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
         899d7f27beb16a9152cf765ee4390cce",
    );
    let mut packet = with_room(plain.clone());
    let length = cipher.seal_rtp(&mut packet, 12, plain.len(), 0x5501_a0b2, 0xf17b);
    assert_eq!(packet[..length], sealed);
    let mut packet = sealed.clone();
    assert_eq!(cipher.open_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b), Some(plain.len()));
    assert_eq!(packet[..plain.len()], plain);
}

#[test]
fn rtcp_under_gcm_is_that_of_rfc_7714_section_17() {
    let salt = hex("517569642070726f2071756f").try_into().unwrap();
    let cipher = Cipher::gcm(&hex("000102030405060708090a0b0c0d0e0f"), salt);
    let plain = hex(
        "81c8000d4d617273 4e5450314e545032525450200000042a0000e9304c756e61 deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    );
    let sealed = hex(
        "81c8000d4d617273 63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9\
         275bc84aa45896cf4d2fc5abf87245d9eade 800005d4",
    );
    let mut packet = with_room(plain.clone());
    let length = cipher.seal_rtcp(&mut packet, plain.len(), 0x4d61_7273, 0x5d4);
    assert_eq!(packet[..length], sealed);
    let mut packet = sealed;
    assert_eq!(cipher.rtcp_index(&packet), Some(0x5d4));
    assert_eq!(cipher.open_rtcp(&mut packet, 0x4d61_7273, 0x5d4), Some(plain.len()));
    assert_eq!(packet[..plain.len()], plain);
}

const PROFILES: [Profile; 3] = [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::Aes128CmSha1];
const MATERIAL: [u8; 88] = [0x5a; 88];
const SSRC: u32 = 0x0102_0304;

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 0]);
    packet.extend_from_slice(&SSRC.to_be_bytes());
    packet.extend_from_slice(b"payload");
    packet
}

fn sealed(sender: &Sender, index: u64) -> Vec<u8> {
    let plain = rtp(index as u16);
    let mut packet = with_room(plain.clone());
    let length = sender.seal(&mut packet, 12, plain.len(), SSRC, index);
    packet.truncate(length);
    packet
}

fn pair(profile: Profile) -> (Sender, Receiver) {
    let mut material = MATERIAL;
    material.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= at as u8);
    let sender = Sender::new(profile, &material, Role::Server).unwrap();
    (sender, Receiver::new(profile, &material, Role::Server, 4).unwrap())
}

#[test]
fn the_rollover_counter_follows_the_sequence_number() {
    for profile in PROFILES {
        let (sender, mut receiver) = pair(profile);
        for index in [65_530_u64, 65_535, 65_536, 65_534, 65_540, 98_000, 130_000, 131_080, 131_060] {
            let mut packet = sealed(&sender, index);
            let (plain, opened) = receiver.open(&mut packet, 12, SSRC, index as u16).unwrap();
            assert_eq!((opened, &packet[..plain]), (index, &rtp(index as u16)[..]), "{profile:?}");
        }
    }
}

#[test]
fn a_packet_opens_once() {
    for profile in PROFILES {
        let (sender, mut receiver) = pair(profile);
        for index in [100, 2000, 990, 977] {
            receiver.open(&mut sealed(&sender, index), 12, SSRC, index as u16).unwrap();
            assert_eq!(
                receiver.open(&mut sealed(&sender, index), 12, SSRC, index as u16),
                Err(Rejected::Replayed)
            );
        }
        assert_eq!(receiver.open(&mut sealed(&sender, 900), 12, SSRC, 900), Err(Rejected::Replayed), "too old");
    }
}

#[test]
fn a_changed_packet_does_not_open_and_leaves_no_trace() {
    for profile in PROFILES {
        let (sender, mut receiver) = pair(profile);
        let good = sealed(&sender, 7);
        for at in 0..good.len() {
            let mut packet = good.clone();
            packet[at] ^= 0x10;
            assert_eq!(
                receiver.open(&mut packet, 12, SSRC, 7),
                Err(Rejected::NotAuthentic),
                "{profile:?} {at}"
            );
        }
        for length in 12..good.len() {
            let opened = receiver.open(&mut good.clone()[..length], 12, SSRC, 7);
            assert_eq!(opened, Err(Rejected::NotAuthentic));
        }
        assert!(receiver.open(&mut good.clone(), 12, SSRC, 7).is_ok());
    }
}

#[test]
fn control_packets_open_once_and_only_whole() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let plain = [&[0x80, 201, 0, 2][..], &SSRC.to_be_bytes(), b"body"].concat();
        let mut packet = with_room(plain.clone());
        let length = sender.seal_rtcp(&mut packet, plain.len()).unwrap();
        let good = packet[..length].to_vec();
        assert_ne!(good[8..12], plain[8..12]);
        for at in 0..good.len() {
            let mut packet = good.clone();
            packet[at] ^= 0x80;
            assert_eq!(receiver.open_rtcp(&mut packet), Err(Rejected::NotAuthentic), "{profile:?} {at}");
        }
        for length in 0..good.len() {
            assert_eq!(receiver.open_rtcp(&mut good.clone()[..length]), Err(Rejected::NotAuthentic));
        }
        let mut packet = good.clone();
        assert_eq!(receiver.open_rtcp(&mut packet), Ok(plain.len()));
        assert_eq!(packet[..plain.len()], plain);
        assert_eq!(receiver.open_rtcp(&mut good.clone()), Err(Rejected::Replayed));
    }
}

#[test]
fn a_peer_cannot_open_streams_without_end() {
    let (sender, mut receiver) = pair(Profile::Aes128Gcm);
    for ssrc in 0..6_u32 {
        let mut plain = rtp(1);
        plain[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let end = plain.len();
        let mut packet = with_room(plain);
        let length = sender.seal(&mut packet, 12, end, ssrc, 1);
        let opened = receiver.open(&mut packet[..length], 12, ssrc, 1).map(|_| ());
        assert_eq!(opened, if ssrc < 4 { Ok(()) } else { Err(Rejected::TooManyStreams) });
    }
}

#[test]
fn keys_of_the_two_ends_differ() {
    let (_, mut receiver) = pair(Profile::Aes128Gcm);
    let mut material = MATERIAL;
    material.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= at as u8);
    let client = Sender::new(Profile::Aes128Gcm, &material, Role::Client).unwrap();
    assert_eq!(receiver.open(&mut sealed(&client, 1), 12, SSRC, 1), Err(Rejected::NotAuthentic));
    assert!(Sender::new(Profile::Aes256Gcm, &material[..60], Role::Server).is_none());
}

#[test]
fn the_window_agrees_with_a_list_of_all_that_was_seen() {
    let mut window = Window::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut state = 1_u64;
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let around = seen.last().copied().unwrap_or(3000_u64);
        let index = (around + (state >> 40) % 1500).saturating_sub(1200);
        let fresh = !seen.contains(&index) && index + 1024 > around;
        assert_eq!(window.is_fresh(index), fresh || index > around, "{index} around {around}");
        if window.is_fresh(index) {
            window.mark(index);
            seen.insert(index);
        }
    }
}
