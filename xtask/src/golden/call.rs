//! One call of an op: its inputs on the device, its attributes, the names of what it should give.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use thalweg_graph::{DType, Device, Tensor};

use super::{attrs::Attrs, outcome::Stop};

/// How an op of the index is called with this framework's methods. Results stand in the order of the index's outputs.
pub type Rule = fn(&Call) -> Result<Vec<Tensor>, Stop>;

/// Rules by the index's `op` names.
pub type Table = &'static [(&'static str, Rule)];

/// What a rule is given.
#[derive(Debug)]
pub struct Call<'a> {
    pub device: &'a Device,
    /// The dtype of floats in this variant.
    pub dtype: DType,
    pub attrs: Attrs,
    pub inputs: Vec<(String, Tensor)>,
    /// Names and shapes of the outputs.
    pub outputs: Vec<(String, Vec<usize>)>,
    used: RefCell<HashSet<usize>>,
    leaves: RefCell<HashMap<String, Tensor>>,
}

impl<'a> Call<'a> {
    pub fn new(
        device: &'a Device,
        dtype: DType,
        attrs: Attrs,
        inputs: Vec<(String, Tensor)>,
        outputs: Vec<(String, Vec<usize>)>,
    ) -> Call<'a> {
        Call { device, dtype, attrs, inputs, outputs, used: RefCell::default(), leaves: RefCell::default() }
    }

    /// Input `i` in argument order.
    pub fn arg(&self, i: usize) -> Result<&Tensor, Stop> {
        self.used.borrow_mut().insert(i);
        self.inputs.get(i).map(|(_, t)| t).ok_or_else(|| Stop::wrong(format!("no input {i}")))
    }

    /// The first input.
    pub fn x(&self) -> Result<&Tensor, Stop> {
        self.arg(0)
    }

    /// The first two inputs.
    pub fn pair(&self) -> Result<(&Tensor, &Tensor), Stop> {
        Ok((self.arg(0)?, self.arg(1)?))
    }

    /// The first three inputs.
    pub fn triple(&self) -> Result<(&Tensor, &Tensor, &Tensor), Stop> {
        Ok((self.arg(0)?, self.arg(1)?, self.arg(2)?))
    }

    /// All inputs.
    pub fn all(&self) -> Vec<Tensor> {
        self.used.borrow_mut().extend(0..self.inputs.len());
        self.inputs.iter().map(|(_, t)| t.clone()).collect()
    }

    /// An input by name, if the case has it.
    pub fn named(&self, name: &str) -> Option<&Tensor> {
        let i = self.inputs.iter().position(|(n, _)| n == name)?;
        self.arg(i).ok()
    }

    /// Says that a layer's parameter took the place of an input: the gradient is asked of it.
    pub fn stands_for(&self, name: &str, leaf: Tensor) {
        self.leaves.borrow_mut().insert(name.into(), leaf);
    }

    /// The tensor whose gradient is that of an input.
    pub fn leaf(&self, name: &str) -> Option<Tensor> {
        self.leaves.borrow().get(name).or(self.named(name)).cloned()
    }

    /// Results in the order in which the index names them.
    pub fn in_order(&self, results: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, Stop> {
        let find = |(name, _): &(String, Vec<usize>)| {
            let found = results.iter().find(|(n, _)| n == name).map(|(_, t)| (*t).clone());
            found.ok_or_else(|| Stop::Unsupported(format!("output {name}")))
        };
        self.outputs.iter().map(find).collect()
    }

    /// The shape of the first output.
    pub fn out_shape(&self) -> Result<&[usize], Stop> {
        self.outputs.first().map(|(_, shape)| shape.as_slice()).ok_or_else(|| Stop::wrong("no outputs"))
    }

    /// The first input that no rule has looked at.
    pub fn unread(&self) -> Option<&str> {
        let used = self.used.borrow();
        (0..self.inputs.len()).find(|i| !used.contains(i)).map(|i| self.inputs[i].0.as_str())
    }
}
