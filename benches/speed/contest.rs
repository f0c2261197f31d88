//! Alternating measurements of our program and its peers.

use std::error::Error;

use crate::measure::Sample;
use crate::table::{Beside, Case, Rounds};

pub(crate) type Turn<'a> = Box<dyn FnMut() -> Result<Sample, Box<dyn Error>> + 'a>;

pub(crate) struct Contest<'a> {
    pub(crate) name: String,
    /// Name of the most important figure, by which a peer is compared.
    pub(crate) lead: &'static str,
    pub(crate) ours: Turn<'a>,
    pub(crate) peers: Vec<Peer<'a>>,
}

pub(crate) struct Peer<'a> {
    pub(crate) name: String,
    /// Measurement of the peer, or the reason for which it is left out.
    pub(crate) turn: Result<Turn<'a>, String>,
}

impl Contest<'_> {
    /// Measures all once in each round. The order is reversed in every second round, so that none is always first.
    pub(crate) fn held(mut self, n_rounds: u32) -> Result<Case, Box<dyn Error>> {
        let mut ours = Rounds::default();
        let mut peers: Vec<Rounds> = self.peers.iter().map(|_| Rounds::default()).collect();
        let mut order: Vec<Option<usize>> = std::iter::once(None).chain((0..peers.len()).map(Some)).collect();
        for round in 1..=n_rounds {
            eprintln!("  {}: round {round} of {n_rounds}", self.name);
            for who in &order {
                match who {
                    None => ours.0.push((self.ours)()?),
                    Some(n) => {
                        if let Ok(turn) = &mut self.peers[*n].turn {
                            peers[*n].0.push(turn()?);
                        }
                    }
                }
            }
            order.reverse();
        }
        let beside = |(peer, rounds): (Peer, Rounds)| Beside { name: peer.name, took: peer.turn.map(|_| rounds) };
        let peers = self.peers.into_iter().zip(peers).map(beside).collect();
        Ok(Case { name: self.name, lead: self.lead, ours, peers })
    }
}
