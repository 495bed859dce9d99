#![allow(clippy::print_stdout, missing_docs, clippy::unwrap_used)]
use std::time::Instant;
use dmue_train::{config::Config, losses::criterion::terms, train::{run::network, optimiser::Optimiser}, data::augment::augment};
use tch::*;
fn main() {
    let c = Config::named("edge").unwrap();
    let (vs, m) = network(&c, 8, Device::Cpu).unwrap();
    let mut o = Optimiser::new(&vs, &c.optimiser);
    let x = Tensor::rand([128, 1, 48, 48], (Kind::Float, Device::Cpu));
    let y = Tensor::randint(8, [128], (Kind::Int64, Device::Cpu));
    let cl = std::env::args().nth(1).is_some();
    for i in 0..8 {
        let t = Instant::now();
        let mut a = (augment(&x, &c.augment, i) - 0.5) / 0.5;
        if cl { a = a.permute([0,2,3,1]).contiguous().permute([0,3,1,2]); }
        let ta = t.elapsed();
        let out = m.forward_train(&a);
        let tf = t.elapsed();
        let l = terms(&m, &out, &y, &c.method).total(&c.method, 5.);
        let tl = t.elapsed();
        o.step(&l, 5., 30.);
        println!("aug {:.0?} fwd {:.0?} loss {:.0?} bwd+step {:.0?} total {:.0?}", ta, tf - ta, tl - tf, t.elapsed() - tl, t.elapsed());
    }
}
