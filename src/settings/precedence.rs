//! Precedence: the value that holds of those that the layers have, and the limits that a flag loosens.

use super::entry::Authority;
use super::error::SettingsError;
use super::key::{DefaultRole, Key, Risk};
use super::keys::{JOURNAL, KEYS};
use super::layers::Layers;
use super::limits::{Loosened, stricter_of};
use super::origin::{Held, Origin};
use super::resolved::{OfProfile, Resolved};
use super::strict::Stricter;

impl Layers {
    /// Resolves each setting to the value of the highest layer that has one: flag, environment, profile, files, default. Of a
    /// setting that a plan may set, the strictest value of all layers holds, and only a flag goes before that.
    pub(crate) fn resolve(&self, profile: Option<&str>) -> Result<Resolved, SettingsError> {
        let profile = match profile {
            Some(name) => Some((name, self.profile(name).ok_or_else(|| self.unknown_profile(name))?)),
            None => None,
        };
        let profile = profile.map(|(name, (profile, path))| OfProfile {
            name: name.to_owned(),
            origin: Origin::Profile { name: name.to_owned(), path: path.clone() },
            values: profile.values.clone(),
        });
        let mut resolved =
            Resolved { profile, config: self.named_file.clone(), withheld: self.withheld(), ..Resolved::default() };
        for &key in KEYS {
            if let Some(given) = self.of_flag(key.name).or_else(|| self.of_environment(key.name)) {
                resolved.launch.insert(key.name, given);
            }
            match key.of_plan.map(|rule| rule.stricter) {
                None => {
                    let found = resolved.launch.get(key.name).cloned();
                    // No plan sets it, so that the layer below variables has it only of a run that was begun.
                    let begun = self.plan.get(key.name).filter(|_| key.is_kept()).cloned();
                    let said = resolved.profile.as_ref().and_then(|said| said.held(key.name));
                    if let Some(found) = found.or(begun).or(said).or_else(|| self.below_profile(key)) {
                        resolved.values.insert(key.name, found);
                    }
                }
                // Resolved together, in `resolve_hours`.
                Some(Stricter::Hours | Stricter::Zone | Stricter::Earlier) => (),
                Some(
                    how @ (Stricter::LowerRate
                    | Stricter::LowerNumber
                    | Stricter::LowerShare
                    | Stricter::Shorter
                    | Stricter::Longer
                    | Stricter::On),
                ) => self.resolve_strictly(key, how, &mut resolved)?,
            }
        }
        self.resolve_hours(&mut resolved)?;
        Ok(resolved)
    }

    fn resolve_strictly(&self, key: &'static Key, how: Stricter, resolved: &mut Resolved) -> Result<(), SettingsError> {
        let name = key.name;
        let flag = self.of_flag(name);
        let default = key.default.map(|text| (text.to_owned(), Origin::Default));
        let own = self.of_environment(name).or_else(|| self.of_files(name, |authority| authority != Authority::Folder));
        // The default limited the value when the run was begun; the run keeps that value.
        let is_begun = key.is_kept() && matches!(self.plan.get(name), Some((_, Origin::Begun(_))));
        let is_limit = key.of_plan.is_some_and(|rule| rule.default == DefaultRole::Limit);
        let floor = default.clone().filter(|_| is_limit && own.is_none() && !is_begun);
        let said = resolved.profile.as_ref().and_then(|said| said.held(name));
        let folder = self.of_files(name, |authority| authority == Authority::Folder);
        let strictest = |all: [Option<Held>; 4]| {
            all.into_iter()
                .chain([floor.clone()])
                .flatten()
                .map(Ok)
                .reduce(|held, other| stricter_of(name, how, held?, other?))
        };
        if let Some(flag) = flag {
            // A flag does not loosen a profile's rate: the lower of both holds.
            let said = said.filter(|_| how != Stricter::LowerRate);
            let held = strictest([own, said, self.plan.get(name).cloned(), folder]).transpose();
            if let Ok(Some((held, origin))) = held
                && origin != Origin::Default
                && how.is_loosened(&flag.0, &held)
            {
                resolved.loosened.push(Loosened { key: name, flag: flag.0.clone(), held, origin });
            }
            resolved.caps.insert(name, flag.clone());
            resolved.values.insert(name, flag);
            return Ok(());
        }
        if let Some(cap) = strictest([own.clone(), said.clone(), None, folder.clone()]).transpose()? {
            resolved.caps.insert(name, cap);
        }
        let held = strictest([own, said, self.plan.get(name).cloned(), folder]).transpose()?;
        if let Some(held) = held.or(default) {
            resolved.values.insert(name, held);
        }
        Ok(())
    }

    fn below_profile(&self, key: &Key) -> Option<Held> {
        let default = || self.default_of(key);
        // For looks the nearest file wins; for anything else the folder's file comes after all others.
        let is_nearest = key.risk == Risk::Looks;
        let first = self.of_files(key.name, |authority| is_nearest || authority != Authority::Folder);
        let folder = || self.of_files(key.name, |authority| authority == Authority::Folder);
        first.or_else(folder).or_else(default)
    }

    fn default_of(&self, key: &Key) -> Option<Held> {
        let of_service = self.journal_of_service.clone().filter(|_| key.name == JOURNAL.key.name);
        let of_service = of_service.map(|path| (path, Origin::StateDirectory));
        of_service.or_else(|| key.default.map(|default| (default.to_owned(), Origin::Default)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::super::file::{Profile, SettingsFile};
    use super::*;

    fn resolved(flags: &[(&'static str, String)], environment: &[(&str, &str)]) -> Resolved {
        let environment: BTreeMap<String, OsString> =
            environment.iter().map(|(name, text)| ((*name).to_owned(), OsString::from(text))).collect();
        Layers::read(flags.to_vec(), |name| environment.get(name).cloned()).unwrap().resolve(None).unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_default() {
        let environment = [("CUTOVER_RATE", "7"), ("CUTOVER_BURST", "3")];
        let resolved = resolved(&[("rate", "5".to_owned())], &environment);
        assert_eq!(resolved.values["rate"], ("5".to_owned(), Origin::Flag));
        assert_eq!(resolved.values["burst"], ("3".to_owned(), Origin::Environment("CUTOVER_BURST".to_owned())));
        assert_eq!(resolved.values["attempts"], ("5".to_owned(), Origin::Default));
    }

    #[test]
    fn the_journal_of_a_service_is_in_its_state_directory_unless_something_names_another() {
        let service = ("STATE_DIRECTORY", "/var/lib/cutover:/var/lib/more");
        let journal = |flags: &[(&'static str, String)], variables: &[(&str, &str)]| {
            resolved(flags, variables).values["journal"].clone()
        };
        assert_eq!(journal(&[], &[service]), ("/var/lib/cutover/cutover.db".to_owned(), Origin::StateDirectory));
        let named = [service, ("CUTOVER_JOURNAL", "night.db")];
        assert_eq!(journal(&[], &named).0, "night.db");
        assert_eq!(journal(&[("journal", "other.db".to_owned())], &named), ("other.db".to_owned(), Origin::Flag));
        assert_eq!(journal(&[], &[("STATE_DIRECTORY", "")]).1, Origin::Default);
        let refused = |directory: OsString| {
            let read = Layers::read(Vec::new(), |name| (name == "STATE_DIRECTORY").then(|| directory.clone()));
            read.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let text =
            "`journal` in the state directory of this service (STATE_DIRECTORY): is not an absolute path in UTF-8";
        assert_eq!(refused(OsString::from("cutover")), text);
        assert_eq!(refused(std::os::unix::ffi::OsStringExt::from_vec(b"/var/\xFF".to_vec())), text);
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let resolved = resolved(&[], &[("CUTOVER_RATE", ""), ("CUTOVER_REGION", ""), ("HW_REGION_NAME", "cn-north-4")]);
        assert_eq!(resolved.values["rate"], ("10".to_owned(), Origin::Default));
        assert_eq!(resolved.values["region"].1, Origin::Environment("HW_REGION_NAME".to_owned()));
    }

    /// Layers of a flag, a variable, a plan, a profile, the user's file and the folder's, each with what it sets.
    fn layers(all: [&[(&'static str, &str)]; 6]) -> Layers {
        let [flags, environment, plan, profile, user, folder] = all;
        let owned = |values: &[(&'static str, &str)]| -> BTreeMap<String, String> {
            values.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
        };
        let file = |authority, values, profiles| SettingsFile {
            path: PathBuf::from(if authority == Authority::User { "user" } else { "folder" }),
            authority,
            values,
            profiles,
            receivers: BTreeMap::new(),
            hooks: BTreeMap::new(),
            said: Vec::new(),
        };
        let profiles = BTreeMap::from([("a".to_owned(), Profile { values: owned(profile) })]);
        let files =
            vec![file(Authority::Folder, owned(folder), BTreeMap::new()), file(Authority::User, owned(user), profiles)];
        let environment =
            environment.iter().map(|(key, text)| (*key, ((*text).to_owned(), (*key).to_owned()))).collect();
        let flags = flags.iter().map(|(key, text)| (*key, (*text).to_owned())).collect();
        let layers = Layers {
            flags,
            environment,
            plan: BTreeMap::new(),
            files,
            journal_of_service: None,
            named_file: None,
            proxies_with_secrets: Vec::new(),
            warnings: Vec::new(),
        };
        layers.under(owned(plan), &Origin::Plan("the plan".to_owned()))
    }

    fn held(key: &'static str, all: [&str; 6]) -> String {
        let one = all.map(|text| if text.is_empty() { Vec::new() } else { vec![(key, text)] });
        let layers = layers([&one[0], &one[1], &one[2], &one[3], &one[4], &one[5]]);
        match layers.resolve(Some("a")) {
            Ok(resolved) => {
                let loosened: Vec<String> =
                    resolved.loosened.iter().map(|loosened| format!(", loosens {}", loosened.held)).collect();
                let held = resolved.values.get(key).map_or_else(|| "-".to_owned(), |(text, _)| text.clone());
                held + &loosened.concat()
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_plan_a_profile_and_a_folder_only_make_limits_tighter_and_a_flag_says_what_it_loosens() {
        for (key, [flag, environment, plan, profile, user, folder], expected) in [
            ("max_changes", ["", "", "999999", "", "1", ""], "1"),
            ("max_changes", ["", "", "1", "", "999999", ""], "1"),
            ("max_changes", ["", "", "5", "", "", ""], "5"),
            ("max_changes", ["", "", "5", "", "", "9"], "5"),
            ("max_changes", ["", "", "", "", "3", "9"], "3"),
            ("max_changes", ["", "7", "9", "", "3", ""], "7"),
            ("max_changes", ["9", "", "1", "", "3", ""], "9, loosens 1"),
            ("max_changes", ["2", "", "", "", "3", ""], "2"),
            ("rate", ["", "", "off", "", "2", ""], "2"),
            ("rate", ["", "", "", "50", "2", ""], "2"),
            ("rate", ["", "", "50", "20", "", ""], "20"),
            ("rate", ["", "", "50", "", "", ""], "50"),
            ("verify", ["", "", "off", "", "", ""], "on"),
            ("verify", ["", "", "off", "", "on", ""], "on"),
            ("verify", ["", "", "on", "", "off", ""], "on"),
            ("verify", ["", "", "", "", "off", ""], "off"),
            ("verify", ["off", "", "", "", "", ""], "off"),
            ("complete_pair", ["off", "", "on", "", "", ""], "off, loosens on"),
            ("verify_timeout", ["", "", "1ms", "", "30s", ""], "30s"),
            ("verify_timeout", ["", "", "1ms", "", "", ""], "30s"),
            ("verify_timeout", ["", "", "", "1ms", "", "1ms"], "30s"),
            ("verify_timeout", ["", "", "1m", "", "", ""], "1m"),
            ("verify_timeout", ["", "", "1ms", "", "5s", ""], "5s"),
            ("verify_timeout", ["1ms", "", "", "", "", ""], "1ms"),
            ("min_sample", ["", "", "100000", "", "", ""], "20"),
            ("min_sample", ["", "", "", "", "", "100000"], "20"),
            ("min_sample", ["", "", "100000", "", "50", ""], "50"),
            ("min_sample", ["", "", "5", "", "", ""], "5"),
            ("max_drift", ["", "", "999", "", "", ""], "0"),
            ("timeout", ["", "", "", "", "60s", "1ms"], "60s"),
            ("timeout", ["", "", "", "", "", "10s"], "10s"),
            ("max_failed", ["", "", "100%", "", "5", ""], "5"),
            ("max_failed", ["3", "", "10%", "", "5", ""], "3"),
            ("window", ["", "", "20:00-02:00", "", "22:00-04:00", ""], "22:00-02:00"),
            ("window", ["", "", "", "", "22:00-04:00", "off"], "22:00-04:00"),
            ("window", ["off", "", "20:00-02:00", "", "", ""], "off, loosens 20:00-02:00"),
        ] {
            assert_eq!(held(key, [flag, environment, plan, profile, user, folder]), expected, "{key}");
        }
        let unlike = "`max_failed` is `5` in `user` and `10%` in the plan, and one of them cannot stand for both";
        assert_eq!(held("max_failed", ["", "", "10%", "", "5", ""]), unlike);
    }

    #[test]
    fn a_run_keeps_what_it_was_begun_with_also_beyond_the_default() {
        let begun = |key: &'static str, text: &str| {
            let origin = Origin::Begun("run 1".to_owned());
            let layers = layers([&[]; 6]).under([(key.to_owned(), text.to_owned())], &origin);
            layers.resolve(None).unwrap().values[key].0.clone()
        };
        assert_eq!(begun("min_sample", "100"), "100");
        // What is not kept is the plan's word, at each launch anew.
        assert_eq!(begun("verify_timeout", "1ms"), "30s");
    }

    #[test]
    fn nobody_else_s_zone_moves_somebody_s_hours() {
        let zone = |plan: &[(&'static str, &str)], user: &[(&'static str, &str)]| {
            let resolved = layers([&[], &[], plan, &[], user, &[]]).resolve(None);
            resolved.map(|resolved| resolved.values.get("timezone").map_or_else(String::new, |(zone, _)| zone.clone()))
        };
        let (hours, berlin, tokyo) =
            (("window", "22:00-04:00"), ("timezone", "Europe/Berlin"), ("timezone", "Asia/Tokyo"));
        assert_eq!(zone(&[hours, tokyo], &[berlin]).unwrap(), "Asia/Tokyo");
        assert_eq!(zone(&[tokyo], &[hours, berlin]).unwrap(), "Europe/Berlin");
        assert_eq!(zone(&[tokyo], &[hours]).unwrap(), "", "the machine's");
        assert_eq!(zone(&[hours], &[hours, berlin]).unwrap(), "Europe/Berlin");
        assert!(zone(&[hours, tokyo], &[hours, berlin]).is_err());
        assert!(zone(&[("deadline", "04:00"), tokyo], &[hours]).is_err());
        let both =
            layers([&[], &[], &[("deadline", "04:00")], &[], &[("deadline", "03:00")], &[]]).resolve(None).unwrap();
        assert_eq!((both.values["deadline"].0.as_str(), both.other_deadlines.len()), ("03:00", 1));
        let by_flag = layers([&[tokyo], &[], &[hours, tokyo], &[], &[hours, berlin], &[]]).resolve(None).unwrap();
        assert_eq!(by_flag.values["timezone"].0, "Asia/Tokyo");
    }
}
