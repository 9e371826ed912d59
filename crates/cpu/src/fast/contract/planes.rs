//! A convolution as shifted sums of planes: see [`Stencil`].

use rayon::prelude::*;
use thalweg_ir::schedule::ir::{BufId, BufferSpec, Contract};

use super::{
    super::{
        kernel::{access::MAX_COORDS, machine::Bind},
        pool::{Pool, exhausted},
    },
    scratch::{give_back, scratch},
    stencil::Stencil,
    sums::{Direct, EXTRA, Epilogue},
    tile::{Tiling, set_box},
};

/// A convolution of planes, and what becomes of its sums.
#[derive(Debug)]
pub struct Planes {
    stencil: Stencil,
    batch: Vec<usize>,
    /// One tile for each plane.
    n: Tiling,
    direct: Option<Direct>,
    epilogue: Epilogue,
    sums: BufId,
}

impl Planes {
    /// Of a contraction that is such a convolution.
    pub fn new(stencil: Stencil, c: &Contract, buffers: &[BufferSpec]) -> Result<Planes, String> {
        let (n, sums) = (Tiling::new(&c.n, stencil.plane_len()), buffers.len());
        let epilogue = Epilogue::new(c, buffers, sums, 1, n.count, &n, false)?;
        let direct = Direct::new(c, buffers, &n).filter(|d| d.cols == 1);
        Ok(Planes { stencil, batch: c.batch.clone(), n, direct, epilogue, sums })
    }

    /// What it comes to, as [`LoopCode::work`](super::super::kernel::code::LoopCode::work) counts.
    pub fn work(&self) -> usize {
        let planes = self.batch.iter().product::<usize>() * self.n.tiles();
        planes.saturating_mul(self.n.len).saturating_mul(self.stencil.taps())
    }

    /// Runs it.
    pub fn execute(&self, bind: Bind<'_>, pool: &Pool) -> Result<(), thalweg_ir::Error> {
        let mut views = bind.views.to_vec();
        views.resize(self.sums + EXTRA, pool.empty());
        let direct = self.direct.as_ref().filter(|d| !views[d.buf].overlaps(&views[self.stencil.x]));
        let (tiles, plane) = (self.n.tiles(), self.n.len);
        let count = self.batch.iter().product::<usize>() * tiles;
        let chunk = ((1 << 15) / plane.max(1)).max(count.div_ceil(64)).max(1);
        let task = |t: usize| -> Option<()> {
            let mut views = views.clone();
            let frame = scratch(self.stencil.frame_len())?;
            let sums = scratch(plane)?;
            for index in t * chunk..((t + 1) * chunk).min(count) {
                let (batch, n) = (index / tiles, self.n.tile(index % tiles));
                let (mut coords, mut unused) = ([0; MAX_COORDS], [0; MAX_COORDS]);
                set_box(&self.batch, 0, batch, 1, &mut coords, &mut unused);
                set_box(&self.stencil.planes, self.batch.len(), index % tiles, 1, &mut coords, &mut unused);
                let (to, start) = match direct {
                    Some(direct) => (views[direct.buf], direct.matrix(views[direct.buf], batch, n).start),
                    None => (sums.view(), 0),
                };
                let to = to.slice_mut::<f32>(start, plane);
                self.stencil.run(pulp::Arch::new(), &views, &coords, frame.view(), to);
                if direct.is_none() {
                    views[self.sums] = sums.view();
                    self.epilogue.apply(Bind { views: &views, shared: false, ..bind }, (batch, 1), 1, n);
                }
            }
            [frame, sums].into_iter().for_each(give_back);
            Some(())
        };
        let tasks = count.div_ceil(chunk);
        let done = if bind.shared {
            (0..tasks).into_par_iter().with_max_len(1).map(task).all(|done| done.is_some())
        } else {
            (0..tasks).all(|t| task(t).is_some())
        };
        if done { Ok(()) } else { Err(exhausted(plane * size_of::<f32>())) }
    }
}
