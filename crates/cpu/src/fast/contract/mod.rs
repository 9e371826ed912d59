//! Contractions: matrix products on views, copies or packed windows, and the body on the sums while they are in cache.
//!
//! - One output row or column per batch (matrix times vector, depthwise convolution) is a loop with a sum in it.
//! - Large products of two strided matrices are one call that splits rows and columns among threads.
//! - The rest is cut into tiles by shape: per tile the windows are packed (a cache-sized im2col), multiplied step by step
//!   along k by one thread, and the body is applied.

mod planes;
mod product;
mod scratch;
pub mod side;
pub mod stencil;
mod sums;
pub mod tile;

use thalweg_ir::schedule::ir::{BufId, BufferSpec, Contract};

use planes::Planes;
use product::Product;
use stencil::Stencil;

use super::{
    kernel::{access::Region, code::LoopCode, lower::Options, machine::Bind},
    pool::Pool,
};

/// A compiled contraction.
#[derive(Debug)]
pub enum ContractKernel {
    /// As a loop with a sum.
    Loop(LoopCode),
    /// As shifted sums of planes.
    Planes(Box<Planes>),
    /// As matrix products.
    Product(Box<Product>),
}

impl ContractKernel {
    /// Chooses how to run a contraction.
    pub fn new(c: &Contract, buffers: &[BufferSpec]) -> Result<ContractKernel, String> {
        if let Some(stencil) = Stencil::new(c) {
            return Ok(ContractKernel::Planes(Box::new(Planes::new(stencil, c, buffers)?)));
        }
        let mut c = c.clone();
        let [of_a, of_b] = c.extents();
        c.a.body.drop_guards(&of_a);
        c.b.body.drop_guards(&of_b);
        let [m, n, k] = [&c.m, &c.n, &c.k].map(|extents| extents.iter().product::<usize>());
        if m <= 1 || n <= 1 || k == 0 {
            let dtype_of = |buf: BufId| buffers[buf].dtype;
            return Ok(ContractKernel::Loop(LoopCode::new(&c.as_loop(), &Options::default(), &dtype_of)?));
        }
        Ok(ContractKernel::Product(Box::new(Product::new(&c, buffers)?)))
    }

    /// What it comes to, as [`LoopCode::work`] counts.
    pub fn work(&self) -> usize {
        match self {
            ContractKernel::Loop(code) => code.work(),
            ContractKernel::Planes(planes) => planes.work(),
            ContractKernel::Product(product) => product.work(),
        }
    }

    /// Runs it. `views` has room for `EXTRA` buffers behind those of the schedule.
    pub fn execute(&self, bind: Bind<'_>, pool: &Pool) -> Result<(), thalweg_ir::Error> {
        match self {
            ContractKernel::Loop(code) => {
                code.execute(bind, &Region::whole(&code.extents));
                Ok(())
            }
            ContractKernel::Planes(planes) => planes.execute(bind, pool),
            ContractKernel::Product(product) => product.execute(bind, pool),
        }
    }
}
