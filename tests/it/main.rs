//! Black-box tests: the binary, a sandbox in a process of its own, a directory in which both are at home.

mod crash;
mod doors;
mod faults;
mod lab;
mod memory;
mod pace;
mod plans;
