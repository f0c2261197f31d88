//! Places in which credentials are looked for, and their order.
//!
//! A profile that names the place of its credentials uses just that. Otherwise the first place that has any counts, even if they
//! are bad: token, key pair, user and password of the environment, or of files that stand for its variables
//! ([`super::variables`]); a profile's command; files; the container's identity; the machine's agency.

mod environment;
mod fetched;
pub(crate) mod places;
mod profile;
pub(crate) mod spec;
mod user;
mod vendor_files;

use super::variables;
use crate::transport::proxy::Environment;
use crate::transport::settings::TransportSettings;
use places::{SearchPlaces, SearchResult};
use profile::CredentialKind;
use spec::Spec;

/// Looks for credentials without asking anybody: what has to be fetched is fetched when it is needed.
pub(crate) fn find(spec: &Spec, transport: &TransportSettings, get: Environment<'_>) -> SearchResult {
    let places = SearchPlaces { spec, transport, get };
    let Some(mut found) = first_of(&places)? else { return Ok(None) };
    found.warnings.extend(variables::readable_by_everybody(get));
    Ok(Some(found))
}

fn first_of(places: &SearchPlaces<'_>) -> SearchResult {
    let spec = places.spec;
    let own = places.own_kind()?;
    if let Some(kind) = own.filter(|kind| *kind != CredentialKind::Command || spec.one_of_several) {
        return places.of_profile(kind).map(Some);
    }
    let mut warnings = Vec::new();
    let steps: [fn(&SearchPlaces<'_>, &mut Vec<String>) -> SearchResult; 8] = [
        |places, _| places.token(),
        |places, _| places.key_pair(),
        |places, _| places.password(),
        |places, _| Ok(places.command()),
        |places, warnings| places.sdk_file(warnings),
        |places, warnings| places.koocli_file(warnings),
        |places, _| places.pod(),
        |places, _| places.last_resort(),
    ];
    for step in steps {
        if let Some(mut found) = step(places, &mut warnings)? {
            found.warnings.splice(0..0, warnings);
            return Ok(Some(found));
        }
    }
    Ok(None)
}
