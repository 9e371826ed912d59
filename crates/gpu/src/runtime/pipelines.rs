//! Compiled kernels, by text.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use thalweg_ir::{Error, ErrorKind, Result};

use super::{
    ahead::{self, Ahead},
    compiler::{Compiler, Pipeline},
    context::{Context, add, lock},
};
use crate::templates::kernel::Kernel;

/// All pipelines of a device.
#[derive(Default)]
pub(crate) struct Pipelines {
    by_text: Mutex<HashMap<String, Arc<Pipeline>>>,
    compiler: Compiler,
}

impl Pipelines {
    /// The pipeline of a kernel. For `shared` see [`Kernel::wgsl`].
    ///
    /// # Errors
    /// What the shader compiler says, with the label.
    pub fn get(&self, context: &Context, kernel: &Kernel, shared: u32, label: &str) -> Result<Arc<Pipeline>> {
        let text = kernel.wgsl(shared);
        if let Some(pipeline) = lock(&self.by_text).get(&text) {
            return Ok(pipeline.clone());
        }
        let pipeline =
            Arc::new(self.compiler.compile(&context.device, context.caps.software, kernel, shared, &text, label)?);
        add(&context.counters.kernels, 1);
        lock(&self.by_text).insert(text, pipeline.clone());
        Ok(pipeline)
    }

    /// Compiles what a plan will need. Drivers of hardware compile here, and several at once; software Vulkan does it at
    /// the first dispatch, so there a thread begins with the last of them: it is to be held until the plan is queued.
    pub fn prepare(&self, context: &Context, kernels: &[(&Kernel, &str)]) -> Result<Option<Ahead>> {
        let mut texts = std::collections::HashSet::new();
        let known = lock(&self.by_text);
        let new: Vec<&(&Kernel, &str)> = kernels
            .iter()
            .filter(|(k, _)| {
                let text = k.wgsl(0);
                !known.contains_key(&text) && texts.insert(text)
            })
            .collect();
        drop(known);
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(new.len());
        if context.caps.software || threads < 2 {
            let ahead = (threads > 1 && new.len() >= ahead::WORTH_WHILE).then(|| {
                let kernels = new.iter().map(|(kernel, _)| (*kernel).clone()).collect();
                Ahead::start(context.adapter.clone(), &context.device, kernels)
            });
            new.iter().try_for_each(|(kernel, label)| self.get(context, kernel, 0, label).map(drop))?;
            return Ok(ahead);
        }
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let work = || -> Result<()> {
                while let Some((kernel, label)) = new.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    self.get(context, kernel, 0, label)?;
                }
                Ok(())
            };
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|w| match w.join() {
                Ok(result) => result,
                Err(_) => Err(Error::new("compile", ErrorKind::Device("a shader compiler thread panicked".into()))),
            })
        })?;
        Ok(None)
    }
}
