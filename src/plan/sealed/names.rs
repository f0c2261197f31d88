//! Names of people: which of them are one person's, or could be taken for another's.

use icu_normalizer::ComposingNormalizerBorrowed;
use unicode_security::skeleton;

/// Tells whether one name could be taken for the other: they are the same but for case, blanks and marks, or look the same.
#[must_use]
pub fn look_alike(one: &str, other: &str) -> bool {
    let others = appearances(other);
    appearances(one).iter().any(|appearance| others.contains(appearance))
}

/// Tells whether two names are the same but for case, blanks and marks.
#[must_use]
pub fn is_same_name(one: &str, other: &str) -> bool {
    let folded = |name: &str| -> String {
        let normal = ComposingNormalizerBorrowed::new_nfkc().normalize(name).to_lowercase();
        normal.chars().filter(|c| c.is_alphanumeric()).collect()
    };
    folded(one) == folded(other)
}

/// Returns a name's appearance, in its own case and in lower case: two letters may look the same in only one of them.
///
/// source: UTS #39, 4 (skeletons of confusables)
fn appearances(name: &str) -> [String; 2] {
    let normal = ComposingNormalizerBorrowed::new_nfkc().normalize(name).into_owned();
    [&normal, &normal.to_lowercase()].map(|name| {
        let skeleton: String = skeleton(name).collect();
        let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&skeleton).to_lowercase();
        composed.chars().filter(|c| c.is_alphanumeric()).collect()
    })
}

/// Tells whether a name has anything that distinguishes people, on one line.
#[must_use]
pub fn is_a_name(name: &str) -> bool {
    !name.chars().any(char::is_control) && appearances(name).iter().all(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_the_same_are_one_person() {
        for (one, other) in [
            ("Ada Lovelace", "ada  lovelace"),
            ("Ada", "\u{410}d\u{430}"),
            ("paypal", "p\u{430}ypal"),
            ("Bob", "B0b"),
            ("Carl", "CarI"),
            ("modern", "modem"),
            ("\u{ff21}da", "Ada"),
            ("Bj\u{f6}rn", "Bjo\u{308}rn"),
            ("x\u{200b}y", "xy"),
        ] {
            assert!(look_alike(one, other) && look_alike(other, one), "{one} {other}");
        }
        for (one, other) in [("Ada", "Bob"), ("M\u{fc}ller", "Muller"), ("Ann", "Anna"), ("Cy", "Cyd")] {
            assert!(!look_alike(one, other), "{one} {other}");
        }
        for name in ["", " ", "\u{200b}", "a\nb", "--"] {
            assert!(!is_a_name(name), "{name:?}");
        }
    }
}
