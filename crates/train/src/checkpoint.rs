//! A model's parameters and states in a safetensors file.

use std::{
    collections::{BTreeMap, HashMap},
    panic::Location,
    path::Path,
};

use safetensors::{SafeTensorError, SafeTensors, tensor::TensorView};
use thalweg_graph::{DType, Element, Error, ErrorKind, Module, Param, Result, State, Tensor};

use crate::atomic::write_atomically;

/// Writes every parameter and state of a model under its name (`conv1.weight`), atomically. Waits for the device.
///
/// # Errors
/// [`ErrorKind::File`] when the file cannot be written; [`ErrorKind::DType`] for a dtype other than f32, i32 and u32; what
/// went wrong on the device.
#[track_caller]
pub fn save(path: impl AsRef<Path>, module: &dyn Module) -> Result<()> {
    let caller = Location::caller();
    write(path.as_ref(), module).map_err(|error| error.seen_at(caller))
}

fn write(path: &Path, module: &dyn Module) -> Result<()> {
    let tensors = parts(module).into_iter().map(|(name, part)| Ok((name, Stored::of(&part.tensor())?)));
    let tensors = tensors.collect::<Result<Vec<_>>>()?;
    let views = tensors.iter().map(|(name, stored)| Ok((name.as_str(), stored.view()?)));
    let bytes = views.collect::<Result<Vec<_>, SafeTensorError>>().and_then(|views| {
        let note = HashMap::from([("format".to_string(), "thalweg".to_string())]);
        safetensors::serialize(views, Some(note))
    });
    let bytes = bytes.map_err(|e| problem("save", path, format!("cannot be written: {e}")))?;
    write_atomically(path, &bytes)
}

/// Reads a file that [`save`] wrote into a model of the same structure. The model changes only if all of it fits.
///
/// # Errors
/// [`ErrorKind::File`] naming the file and what is wrong: absent, truncated, damaged, or parameters that are missing, left
/// over, or of another shape or dtype than the model's.
#[track_caller]
pub fn load(path: impl AsRef<Path>, module: &dyn Module) -> Result<()> {
    let caller = Location::caller();
    read(path.as_ref(), module).map_err(|error| error.seen_at(caller))
}

fn read(path: &Path, module: &dyn Module) -> Result<()> {
    let problem = |text| problem("load", path, text);
    let bytes = std::fs::read(path).map_err(|e| problem(format!("cannot be read: {e}")))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| problem(damage(&e)))?;
    let parts = parts(module);
    let mut values = Vec::with_capacity(parts.len());
    for (name, part) in &parts {
        values.push(fitting(&file, name, part).map_err(problem)?);
    }
    if let Some(extra) = file.names().into_iter().find(|name| !parts.contains_key(*name)) {
        return Err(problem(format!("has '{extra}', which the model has not")));
    }
    values.iter().try_for_each(Tensor::check)?;
    parts.values().zip(&values).try_for_each(|(part, value)| part.set(value))
}

/// What a file keeps of a model.
enum Part {
    Param(Param),
    State(State),
}

impl Part {
    fn tensor(&self) -> Tensor {
        match self {
            Part::Param(param) => param.tensor(),
            Part::State(state) => state.tensor(),
        }
    }

    fn set(&self, value: &Tensor) -> Result<()> {
        match self {
            Part::Param(param) => param.set(value),
            Part::State(state) => {
                state.set(value);
                Ok(())
            }
        }
    }
}

fn parts(module: &dyn Module) -> BTreeMap<String, Part> {
    let params = module.params().into_iter().map(|(name, param)| (name, Part::Param(param)));
    let states = module.states().into_iter().map(|(name, state)| (name, Part::State(state)));
    params.chain(states).collect()
}

/// A tensor as the format stores it.
struct Stored {
    dtype: safetensors::Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn of(tensor: &Tensor) -> Result<Stored> {
        let bytes = match tensor.dtype() {
            DType::F32 => f32::bytes(&tensor.to_vec::<f32>()?),
            DType::I32 => i32::bytes(&tensor.to_vec::<i32>()?),
            DType::U32 => u32::bytes(&tensor.to_vec::<u32>()?),
            got => {
                return Err(Error::new(
                    "save",
                    ErrorKind::DType { got, problem: "has no place in a checkpoint".into() },
                ));
            }
        };
        let dtype = stored_dtype(tensor.dtype()).unwrap_or(safetensors::Dtype::F32);
        Ok(Stored { dtype, shape: tensor.shape().to_vec(), bytes })
    }

    fn view(&self) -> Result<TensorView<'_>, SafeTensorError> {
        TensorView::new(self.dtype, self.shape.clone(), &self.bytes)
    }
}

fn stored_dtype(dtype: DType) -> Option<safetensors::Dtype> {
    match dtype {
        DType::F32 => Some(safetensors::Dtype::F32),
        DType::I32 => Some(safetensors::Dtype::I32),
        DType::U32 => Some(safetensors::Dtype::U32),
        _ => None,
    }
}

/// The file's tensor for this part, on the part's device, or why it does not fit.
fn fitting(file: &SafeTensors<'_>, name: &str, part: &Part) -> Result<Tensor, String> {
    let view = file.tensor(name).map_err(|_| format!("has no '{name}', which the model needs"))?;
    let want = part.tensor();
    if view.shape() != want.shape() {
        return Err(format!("has '{name}' with shape {:?}, and the model's has {:?}", view.shape(), want.shape()));
    }
    if Some(view.dtype()) != stored_dtype(want.dtype()) {
        return Err(format!("has '{name}' in {:?}, and the model's is {}", view.dtype(), want.dtype()));
    }
    let unreadable = || format!("is damaged in '{name}'");
    Ok(match want.dtype() {
        DType::I32 => upload(&want, i32::from_bytes(view.data(), DType::I32).ok_or_else(unreadable)?),
        DType::U32 => upload(&want, u32::from_bytes(view.data(), DType::U32).ok_or_else(unreadable)?),
        _ => upload(&want, f32::from_bytes(view.data(), DType::F32).ok_or_else(unreadable)?),
    })
}

fn upload<T: Element>(like: &Tensor, values: Vec<T>) -> Tensor {
    Tensor::from_slice(like.device(), &values, like.shape())
}

/// What a reader's error means to the owner of the file.
fn damage(error: &SafeTensorError) -> String {
    match error {
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            format!("is truncated, or no safetensors file ({error})")
        }
        SafeTensorError::MetadataIncompleteBuffer => format!("is truncated or has bytes behind its end ({error})"),
        _ => format!("is damaged, or no safetensors file ({error})"),
    }
}

fn problem(op: &'static str, path: &Path, problem: String) -> Error {
    Error::new(op, ErrorKind::File { path: path.display().to_string(), problem })
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use thalweg_cpu::StrictCpu;
    use thalweg_derive::Module;
    use thalweg_graph::Device;

    use super::*;

    #[derive(Module)]
    struct Net {
        weight: Param,
        steps: State,
    }

    impl Net {
        fn new(weights: &[f32], steps: i32) -> Net {
            let device = Device::new(Arc::new(StrictCpu::new()));
            Net {
                weight: Param::new(Tensor::from_slice(&device, weights, [weights.len()])).unwrap(),
                steps: State::new(Tensor::from_slice(&device, &[steps], [1])).unwrap(),
            }
        }

        fn values(&self) -> (Vec<f32>, Vec<i32>) {
            (self.weight.tensor().to_vec().unwrap(), self.steps.tensor().to_vec().unwrap())
        }
    }

    /// A file that goes away with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            Scratch(std::env::temp_dir().join(format!("thalweg-{name}-{}.safetensors", std::process::id())))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn what_is_saved_is_loaded_bit_by_bit() {
        let file = Scratch::new("round-trip");
        let net = Net::new(&[1.5, -0.0, f32::MIN_POSITIVE / 2.0], 7);
        save(&file.0, &net).unwrap();
        let other = Net::new(&[0.0; 3], 0);
        load(&file.0, &other).unwrap();
        assert_eq!(other.values().1, [7]);
        let bits = |net: &Net| net.values().0.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(&other), bits(&net));
    }

    #[test]
    fn files_that_do_not_fit_are_errors_and_change_nothing() {
        let file = Scratch::new("misfit");
        save(&file.0, &Net::new(&[1.0, 2.0], 7)).unwrap();
        let net = Net::new(&[0.0; 3], 0);
        let message = |module: &dyn Module| load(&file.0, module).unwrap_err().to_string();
        assert!(message(&net).contains("has 'weight' with shape [2], and the model's has [3]"));
        assert_eq!(net.values(), (vec![0.0; 3], vec![0]));
        assert!(message(&net.weight).contains("has no '', which the model needs"));
        assert!(message(&vec![net.weight.clone()]).contains("has no '0', which the model needs"));

        #[derive(Module)]
        struct Less {
            steps: State,
        }
        assert!(message(&Less { steps: net.steps.clone() }).contains("has 'weight', which the model has not"));

        #[derive(Module)]
        struct Other {
            weight: State,
            steps: State,
        }
        let integers = Tensor::from_slice(net.weight.tensor().device(), &[1, 2], [2]);
        let other = Other { weight: State::new(integers).unwrap(), steps: net.steps.clone() };
        assert!(message(&other).contains("has 'weight' in F32, and the model's is i32"));
    }

    #[test]
    fn damaged_files_are_errors() {
        let file = Scratch::new("damaged");
        let net = Net::new(&[1.0, 2.0], 7);
        let message = || load(&file.0, &net).unwrap_err().to_string();
        assert!(message().contains("cannot be read"));
        save(&file.0, &net).unwrap();
        let whole = std::fs::read(&file.0).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&file.0, &whole[..end]).unwrap();
            assert!(message().contains("is truncated"), "{end}: {}", message());
        }
        std::fs::write(&file.0, [&whole[..], b"x"].concat()).unwrap();
        assert!(message().contains("is truncated or has bytes behind its end"));
        let mut broken = whole.clone();
        broken[8] = b'!';
        std::fs::write(&file.0, &broken).unwrap();
        assert!(message().contains("is damaged, or no safetensors file (invalid JSON in header"), "{}", message());
        assert_eq!(net.values(), (vec![1.0, 2.0], vec![7]));
    }
}
