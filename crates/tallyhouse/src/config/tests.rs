use std::{ffi::OsString, os::unix::fs::PermissionsExt};

use super::*;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_environment_overrides_the_file_and_flags_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    std::fs::write(&file, "data_dir = \"/a\"\n[stripe]\nrequests_per_second = 7\n").unwrap();
    let flags = Flags { file: Some(file), data: None };
    let set =
        variables(&[("TALLYHOUSE__DATA_DIR", "/b"), ("TALLYHOUSE__STRIPE__API_URL", "http://127.0.0.1:1/")]);
    let config = Config::from_sources(&flags, set.clone()).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/b"));
    assert_eq!(config.stripe.requests_per_second, Some(7));
    assert_eq!(config.stripe.api_url.as_str(), "http://127.0.0.1:1/");
    let config = Config::from_sources(&Flags { data: Some("/c".into()), ..flags }, set).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/c"));
}

#[test]
fn trap_28_read_only_is_asked_for_unless_the_platform_is_not_granted_it() {
    let scope = |pairs: &[(&str, &str)]| {
        Config::from_sources(&Flags::default(), variables(pairs))
            .map(|config| config.stripe.oauth_scope.as_str())
    };
    assert_eq!(scope(&[]).unwrap(), "read_only");
    assert_eq!(scope(&[("TALLYHOUSE__STRIPE__OAUTH_SCOPE", "read_write")]).unwrap(), "read_write");
    assert!(scope(&[("TALLYHOUSE__STRIPE__OAUTH_SCOPE", "everything")]).is_err());
}

#[test]
fn trap_21_every_webhook_has_room_when_no_other_waits() {
    let set = |mb| {
        let set = variables(&[("TALLYHOUSE__WEBHOOKS__MOST_WAITING_MB", mb)]);
        Config::from_sources(&Flags::default(), set).map(|config| config.webhooks)
    };
    let said = format!("{:#}", set("1").unwrap_err());
    assert!(said.contains("most_waiting_mb must be at least 2"), "{said}");
    let largest = store::Level { events: 1, bytes: crate::inbox::LARGEST as u64 };
    assert!(set("2").unwrap().holds(largest));
}

#[test]
fn trap_22_a_sandbox_is_asked_more_slowly_unless_told_how_fast() {
    let rates = |pairs: &[(&str, &str)], mode| {
        Config::from_sources(&Flags::default(), variables(pairs)).unwrap().stripe.rates(mode).per_second
    };
    assert!(rates(&[], Mode::Test) < 25);
    assert_eq!(rates(&[], Mode::Live), 80);
    let told = [("TALLYHOUSE__STRIPE__REQUESTS_PER_SECOND", "5000")];
    assert_eq!([Mode::Live, Mode::Test].map(|mode| rates(&told, mode)), [5_000, 5_000]);
}

#[test]
fn a_mistake_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    std::fs::write(&file, "\n[stripe]\napi_ulr = \"x\"\n").unwrap();
    let error = Config::from_sources(&Flags { file: Some(file), data: None }, Vec::new()).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("line 3"), "{text}");
    assert!(text.contains("api_ulr"), "{text}");
}

#[test]
fn a_mistake_does_not_show_the_secret_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    for text in
        ["[stripe]\nplatfrom_key = \"sk_live_Hidden\"\n", "[stripe]\nplatform_key = \"sk_live_Hidden\n"]
    {
        std::fs::write(&file, text).unwrap();
        let flags = Flags { file: Some(file.clone()), data: None };
        let said = format!("{:#}", Config::from_sources(&flags, Vec::new()).unwrap_err());
        assert!(said.contains("line 2") && !said.contains("Hidden"), "{said}");
    }
}

#[test]
fn an_unknown_variable_is_refused() {
    let set = variables(&[("TALLYHOUSE__STRIPE__API_ULR", "x")]);
    let error = Config::from_sources(&Flags::default(), set).unwrap_err();
    assert!(format!("{error:#}").contains("api_ulr"));
}

#[test]
fn a_variable_that_is_no_text_is_named_and_others_are_left_alone() {
    use std::os::unix::ffi::OsStringExt as _;
    let odd = || OsString::from_vec(vec![b'a', 0xff]);
    let good = (OsString::from("TALLYHOUSE__DATA_DIR"), OsString::from("/a"));
    let kept = ours([(odd(), odd()), ("OTHER".into(), odd()), good.clone()].into_iter()).unwrap();
    assert_eq!(kept, variables(&[("TALLYHOUSE__DATA_DIR", "/a")]));
    let said = ours([good, ("TALLYHOUSE__STRIPE__CLIENT_ID".into(), odd())].into_iter()).unwrap_err();
    assert!(said.to_string().contains("TALLYHOUSE__STRIPE__CLIENT_ID is not UTF-8"), "{said}");
}

#[test]
fn a_platform_key_that_others_may_read_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("platform.key");
    std::fs::write(&path, "sk_test_platform\n").unwrap();
    let set = variables(&[
        ("TALLYHOUSE__STRIPE__CLIENT_ID", "ca_1"),
        ("TALLYHOUSE__STRIPE__PLATFORM_KEY_FILE", path.to_str().unwrap()),
    ]);
    let load = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Config::from_sources(&Flags::default(), set.clone())
    };
    load(0o600).unwrap();
    for mode in [0o640, 0o604] {
        let said = format!("{:#}", load(mode).unwrap_err());
        assert!(said.contains(&format!("chmod 600 {}", path.display())), "{said}");
    }
}

#[test]
fn webhook_secrets_are_one_or_more_and_never_shown() {
    let load = |text: &str| {
        let set = variables(&[("TALLYHOUSE__STRIPE__WEBHOOK_SECRET", text)]);
        let loaded = Config::from_sources(&Flags::default(), set);
        loaded.and_then(|config| config.webhook_secrets()).map(|secrets| secrets.len())
    };
    assert_eq!(load("whsec_HiddenHidden1").unwrap(), 1);
    assert_eq!(load("whsec_HiddenHidden1, whsec_HiddenHidden2\n").unwrap(), 2);
    // The last two could be guessed.
    for text in ["", "sk_live_Hidden", "whsec_HiddenHidden1 Hidden2", "whsec_Hidden1", "whsec_"] {
        let said = format!("{:#}", load(text).unwrap_err());
        assert!(said.contains("must begin with whsec_") && !said.contains("Hidden"), "{said}");
    }
    assert_eq!(Config::default().webhook_secrets().unwrap().len(), 0);
}

#[test]
fn a_master_key_that_others_may_read_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.key");
    std::fs::write(&path, "ab".repeat(32)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let set = variables(&[("TALLYHOUSE__SECURITY__MASTER_KEY_FILE", path.to_str().unwrap())]);
    let config = Config::from_sources(&Flags::default(), set).unwrap();
    let said = format!("{:#}", config.master_key().unwrap_err());
    assert!(said.contains(&format!("chmod 600 {}", path.display())), "{said}");
}

#[test]
fn a_master_key_that_is_gone_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
    config.master_key().unwrap();
    std::fs::write(config.store_file(), "").unwrap();
    config.master_key().unwrap();
    std::fs::remove_file(config.key_file()).unwrap();
    let said = format!("{:#}", config.master_key().unwrap_err());
    assert!(said.contains("master.key is missing") && said.contains("security.master_key"), "{said}");
    assert!(!config.key_file().exists());
}
