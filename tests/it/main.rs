//! Black-box tests: the binary, a sandbox in a process of its own, a directory in which both are at home.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "all of this is tests: what fails here fails them")]

mod at_once;
mod badly;
mod browser;
mod bundle;
mod crash;
mod credentials;
mod dialects;
mod disclaimed;
mod disk;
mod doctor;
mod doors;
mod endings;
mod endpoints;
mod evidence;
mod faults;
mod files;
mod hands;
mod lab;
mod lanes;
mod looks;
mod memory;
mod next;
mod nights;
mod outages;
mod pace;
mod plans;
mod python;
mod quota;
mod reads;
mod reports;
mod runs;
mod sdk;
mod secrets;
mod serve;
mod service;
mod settings;
mod signals;
mod tampered;
mod told;
mod tools;
mod trust;
mod truth;
mod wire;
mod written_over;
