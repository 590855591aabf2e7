use proptest::prelude::*;

use super::*;

const LIMIT_BYTES: usize = 4 << 20;

fn one(body: impl Into<Vec<u8>>) -> ConfigMap {
    ConfigMap::from([(CONFIG_FILE.to_owned(), ConfigFile::new(body, "text/yaml"))])
}

/// Gets a config back on an agent that has the files of `base`.
fn taken(base: &ConfigMap, sent: &ConfigMap, hash: &[u8]) -> Result<ConfigMap, DeltaError> {
    decode(sent, hash, LIMIT_BYTES, |sha256| {
        let mut files = base.values();
        let file = files.find(|file| *Sha256::digest(&file.body) == *sha256)?;
        Some(Cow::Borrowed(&file.body))
    })
}

/// Some 8 KiB of configuration.
fn config(line: &str) -> Vec<u8> {
    let receivers = (0..160).map(|n| format!("  filelog/{n}: {{ include: [/var/log/{n}.log] }}\n"));
    let receivers: String = receivers.collect();
    format!("receivers:\n{receivers}{line}\nservice: {{}}\n").into_bytes()
}

/// A frame whose header says what the caller likes of its size; `None`: nothing.
fn delta_of(base: &[u8], frame: Vec<u8>) -> ConfigMap {
    let delta = FileDelta {
        base_sha256: Sha256::digest(base).to_vec(),
        content_type: "text/yaml".to_owned(),
        zstd: frame,
    };
    ConfigMap::from([(
        CONFIG_FILE.to_owned(),
        ConfigFile::new(delta.encode_to_vec(), CONTENT_TYPE),
    )])
}

#[test]
fn one_changed_line_travels_as_little() {
    let (old, new) = (one(config("one: 1")), one(config("one: 2")));
    let sent = encode(&old, &new).unwrap();
    assert!(is_delta(&sent) && !is_delta(&new));
    assert!(
        sent[CONFIG_FILE].body.len() < 200,
        "{}",
        sent[CONFIG_FILE].body.len()
    );
    assert_eq!(taken(&old, &sent, &config_hash(&new)), Ok(new));
}

#[test]
fn what_the_agent_does_not_have_is_told() {
    let (old, new, other) = (
        one(config("a: 1")),
        one(config("a: 2")),
        one(config("a: 3")),
    );
    let sent = encode(&old, &new).unwrap();
    let unknown = DeltaError::UnknownBase {
        file: CONFIG_FILE.to_owned(),
    };
    assert_eq!(taken(&other, &sent, &config_hash(&new)), Err(unknown));
    assert_eq!(
        taken(&old, &sent, &config_hash(&other)),
        Err(DeltaError::OtherHash)
    );
}

#[test]
fn files_that_did_not_change_cost_nearly_nothing_and_new_ones_travel_whole() {
    let file = |body: Vec<u8>| ConfigFile::new(body, "text/yaml");
    let old = ConfigMap::from([
        ("a.yaml".to_owned(), file(config("a: 1"))),
        ("gone.yaml".to_owned(), file(config("g: 1"))),
    ]);
    let new = ConfigMap::from([
        (
            "a.yaml".to_owned(),
            ConfigFile::new(config("a: 1"), "text/x-other"),
        ),
        ("b.yaml".to_owned(), file(b"b: 1\n".to_vec())),
        ("empty.yaml".to_owned(), file(Vec::new())),
    ]);
    let sent = encode(&old, &new).unwrap();
    assert!(sent["a.yaml"].body.len() < 150);
    assert_eq!(sent["b.yaml"], new["b.yaml"]);
    assert_eq!(taken(&old, &sent, &config_hash(&new)), Ok(new));
}

#[test]
fn what_would_not_be_smaller_is_no_delta() {
    let noise: Vec<u8> = (0..4096_u32)
        .flat_map(|n| Sha256::digest(n.to_be_bytes()))
        .collect();
    assert_eq!(encode(&one(b"a: 1\n".as_slice()), &one(noise)), None);
    assert_eq!(encode(&one(b"a".as_slice()), &one(b"b".as_slice())), None);
    assert_eq!(encode(&ConfigMap::new(), &one(config("a: 1"))), None);
    assert_eq!(encode(&one(Vec::new()), &one(config("a: 1"))), None);
}

#[test]
fn a_base_that_looks_like_a_dictionary_is_taken_as_plain_bytes() {
    let mut body = 0xEC30_A437_u32.to_le_bytes().to_vec();
    body.extend(config("a: 1"));
    let (old, new) = (one(body.clone()), one([body, b"b: 2\n".to_vec()].concat()));
    let sent = encode(&old, &new).unwrap();
    assert_eq!(taken(&old, &sent, &config_hash(&new)), Ok(new));
}

#[test]
fn large_files_are_found_in_their_base_from_end_to_end() {
    let noise = |from: u32| (from..from + 60_000).flat_map(|n| Sha256::digest(n.to_be_bytes()));
    let body: Vec<u8> = noise(0).collect();
    let mut changed = body.clone();
    changed[1_000_000] ^= 1;
    let (old, new) = (one(body), one(changed));
    let sent = encode(&old, &new).unwrap();
    assert!(
        sent[CONFIG_FILE].body.len() < 8 * 1024,
        "{}",
        sent[CONFIG_FILE].body.len()
    );
    assert_eq!(taken(&old, &sent, &config_hash(&new)), Ok(new));
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let base = config("a: 1");
    // Over the limit in less than 4 KiB.
    let mut context = CCtx::try_create().unwrap();
    context
        .set_parameter(CParameter::CompressionLevel(1))
        .unwrap();
    let zeros = vec![0; LIMIT_BYTES + 1];
    let mut frame = Vec::with_capacity(zeros.len());
    context.compress2(&mut frame, &zeros).unwrap();
    assert!(frame.len() < 4096);
    let bomb = delta_of(&base, frame.clone());
    let too_large = DeltaError::TooLarge {
        file: CONFIG_FILE.to_owned(),
        limit_bytes: LIMIT_BYTES,
    };
    let hash = [0; 32];
    assert_eq!(
        taken(&one(base.clone()), &bomb, &hash),
        Err(too_large.clone())
    );
    // A second frame behind an honest one has no room.
    let mut two = compress(&base, &config("a: 2")).unwrap();
    two.extend(&frame);
    let damaged = DeltaError::Damaged {
        file: CONFIG_FILE.to_owned(),
    };
    assert_eq!(
        taken(&one(base.clone()), &delta_of(&base, two), &hash),
        Err(damaged)
    );
    // Many files that are each within the limit are not so together.
    let zeros = vec![0; LIMIT_BYTES / 2 + 1];
    let part = compress(&base, &zeros).unwrap();
    let file = delta_of(&base, part)[CONFIG_FILE].clone();
    let many = ConfigMap::from(["a", "b"].map(|name| (name.to_owned(), file.clone())));
    let refused = taken(&one(base), &many, &hash);
    assert!(matches!(refused, Err(DeltaError::TooLarge { file, .. }) if file == "b"));
}

#[test]
fn a_frame_that_keeps_its_size_to_itself_is_refused() {
    let base = config("a: 1");
    let mut context = CCtx::try_create().unwrap();
    context
        .set_parameter(CParameter::ContentSizeFlag(false))
        .unwrap();
    let mut frame = Vec::with_capacity(1024);
    context.compress2(&mut frame, b"a: 1\n".as_slice()).unwrap();
    let refused = taken(&one(base.clone()), &delta_of(&base, frame), &[0; 32]);
    assert!(
        matches!(refused, Err(DeltaError::Damaged { .. })),
        "{refused:?}"
    );
}

#[test]
fn the_hash_is_the_documented_one() {
    let vectors = [
        (
            vec![("config.yaml", "text/yaml", "a: 1\n")],
            "37b128c59f1f5097f73f82691cb519f1f568667faab5ced1b4ab979d36837eae",
        ),
        (
            vec![("other.yaml", "text/yaml", "a: 1\n")],
            "fe539f9d428bc77ae22e9bab1c8f6ffd8707070de705efb01d8ee110b611cf4d",
        ),
        (
            vec![
                ("a.yaml", "", "x: y\n"),
                ("b.json", "application/json", "{}"),
            ],
            "d5d170d8b251d68ab871a454b8f73d7fa740727358924d801d805af3062ce792",
        ),
    ];
    for (files, expected) in vectors {
        let files = files.into_iter();
        let map = files.map(|(name, kind, body)| (name.to_owned(), ConfigFile::new(body, kind)));
        let hash = config_hash(&map.collect());
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }
}

/// Texts that have much in common.
fn texts() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let line = prop::sample::select(vec![
        "receivers: {}\n",
        "a: 1\n",
        "exporters:\n",
        "  otlp:\n",
        "x",
    ]);
    let text = prop::collection::vec(line, 0..200).prop_map(|lines| lines.concat().into_bytes());
    (text.clone(), text)
}

proptest! {
    #[test]
    fn whatever_is_encoded_is_got_back((old, new) in texts()) {
        let (old, new) = (one(old), one(new));
        if let Some(sent) = encode(&old, &new) {
            prop_assert_eq!(taken(&old, &sent, &config_hash(&new)), Ok(new));
        }
    }

    #[test]
    fn what_is_damaged_on_its_way_is_never_taken_for_something_else(at: prop::sample::Index, flip in 1..=255_u8, cut: bool) {
        let (old, new) = (one(config("a: 1")), one(config("a: 2")));
        let mut sent = encode(&old, &new).unwrap();
        let body = &mut sent.get_mut(CONFIG_FILE).unwrap().body;
        let at = at.index(body.len());
        if cut {
            body.truncate(at);
        } else {
            body[at] ^= flip;
        }
        let hash = config_hash(&new);
        if let Ok(files) = taken(&old, &sent, &hash) {
            // The content type is no part of the hash of the one file.
            prop_assert_eq!(&files[CONFIG_FILE].body, &new[CONFIG_FILE].body);
        }
    }

    #[test]
    fn garbage_is_refused(body: Vec<u8>) {
        let old = one(config("a: 1"));
        let sent = ConfigMap::from([(CONFIG_FILE.to_owned(), ConfigFile::new(body.clone(), CONTENT_TYPE))]);
        prop_assert!(taken(&old, &sent, &[0; 32]).is_err());
        prop_assert!(taken(&old, &delta_of(&old[CONFIG_FILE].body, body), &[0; 32]).is_err());
    }
}
