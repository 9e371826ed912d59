//! Rules by numbers: the parameters of the first steps on a quadratic of two parameters and on a matrix, as another implementation has
//! them in f64. On the strict executor to the digits that are printed, in f32 on the CPU to those that f32 has.

use thalweg_graph::{DType, Device, Param, Result, Stateful, Tensor, module::snapshot::Snapshot};
use thalweg_optim::{
    Adafactor, Adagrad, Adam, AdamW, Adamax, Adjust, EpsMode, Lamb, Lion, Muon, NAdam, Optimizer, RmsProp, Rule,
    RuleExt, Sgd, SgdEma,
};
use thalweg_tests::{cpu, strict};

/// A problem: `½ θᵀAθ - bᵀθ` with `A = [[3, 1], [1, 2]]` and `b = [1, -1]` from `[1, 2]`; or `½ ‖W - T‖²`.
#[derive(Clone, Copy, Debug)]
enum On {
    Quadratic,
    Matrix,
}

impl On {
    fn start(self, device: &Device, dtype: DType) -> Result<Param> {
        let (values, shape): (&[f64], &[usize]) = match self {
            On::Quadratic => (&[1.0, 2.0], &[2]),
            On::Matrix => (&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], &[2, 3]),
        };
        Param::new(tensor(device, values, shape, dtype))
    }

    fn loss(self, x: &Tensor) -> Tensor {
        let (device, dtype) = (x.device(), x.dtype());
        match self {
            On::Quadratic => {
                let a = tensor(device, &[3.0, 1.0, 1.0, 2.0], &[2, 2], dtype);
                let b = tensor(device, &[1.0, -1.0], &[2], dtype);
                let x = x.unsqueeze(1);
                (x.t().matmul(&a.matmul(&x)) * 0.5).sum(..) - (x.squeeze(1) * b).sum(..)
            }
            On::Matrix => {
                let to = tensor(device, &[1.0, -1.0, 0.5, 0.25, 2.0, -0.75], &[2, 3], dtype);
                ((x - to).square() * 0.5).sum(..)
            }
        }
    }
}

fn tensor(device: &Device, values: &[f64], shape: &[usize], dtype: DType) -> Tensor {
    match dtype {
        DType::F64 => Tensor::from_slice(device, values, shape),
        _ => Tensor::from_slice(device, &values.iter().map(|v| *v as f32).collect::<Vec<_>>(), shape),
    }
}

/// What is kept after the last step, the loss then among it (`f`).
type Kept<'a> = &'a [(&'static str, &'a [f64])];

/// Holds a rule's steps to these parameters, and what it keeps after the last to these numbers.
#[track_caller]
fn holds(rule: impl Fn() -> Box<dyn Rule>, on: On, steps: &[&[f64]], kept: Kept) {
    for (device, dtype, digits) in [(strict(), DType::F64, 2e-9), (cpu(), DType::F32, 2e-5)] {
        run(rule(), on, steps, kept, &device, dtype, digits)
            .unwrap_or_else(|e| panic!("{:?} on {device}: {e}", rule()));
    }
}

fn run(
    rule: Box<dyn Rule>,
    on: On,
    steps: &[&[f64]],
    kept: Kept,
    device: &Device,
    dtype: DType,
    digits: f64,
) -> Result<()> {
    let what = format!("{rule:?} on {device}");
    let param = on.start(device, dtype)?;
    let opt = rule.init(&param)?;
    for (step, want) in steps.iter().enumerate() {
        opt.step(&on.loss(&param.tensor()))?;
        near(&format!("{what}, step {}", step + 1), &param.tensor().to_vec::<f64>()?, want, digits);
    }
    for (name, want) in kept {
        let got = match *name {
            "f" => vec![on.loss(&param.tensor()).item()?],
            name => slot(&opt, name)?,
        };
        near(&format!("{what}, {name}"), &got, want, digits);
    }
    Ok(())
}

fn slot(opt: &Optimizer, name: &str) -> Result<Vec<f64>> {
    let mut saved = Snapshot::new();
    opt.save(&mut saved)?;
    let name = format!("{name}.{}", opt.params()[0].0);
    match saved.array(&name) {
        Ok(array) => array.upload(opt.params()[0].1.tensor().device())?.to_vec(),
        Err(_) => Ok(vec![saved.number(&name)?]),
    }
}

#[track_caller]
fn near(what: &str, got: &[f64], want: &[f64], digits: f64) {
    let is = |(g, w): (&f64, &f64)| (g - w).abs() <= digits * w.abs() + 0.05 * digits;
    assert!(got.len() == want.len() && got.iter().zip(want).all(is), "{what}: {got:?}, not {want:?}");
}

macro_rules! vectors {
    ($($name:ident: $on:ident, $rule:expr, $steps:expr, $kept:expr;)*) => {$(
        #[test]
        fn $name() {
            holds(|| Box::new($rule), On::$on, $steps, $kept);
        }
    )*};
}

vectors! {
    sgd: Quadratic, Sgd { lr: 0.1, ..Sgd::default() },
        &[&[0.6, 1.4], &[0.38, 0.96], &[0.27, 0.63]], &[("f", &[1.03635])];
    sgd_momentum: Quadratic, Sgd { lr: 0.1, momentum: 0.9, ..Sgd::default() },
        &[&[0.6, 1.4], &[0.02, 0.42], &[-0.45, -0.648]], &[("momentum_buffer", &[4.7, 10.68]), ("f", &[0.817254])];
    sgd_damped: Quadratic, Sgd { lr: 0.1, momentum: 0.9, dampening: 0.5, weight_decay: 0.01, ..Sgd::default() },
        &[&[0.599, 1.398], &[0.1280505, 0.635751], &[-0.2968632003, -0.1705686005]],
        &[("momentum_buffer", &[4.249137003, 8.063196005]), ("f", &[0.3382154273])];
    sgd_nesterov: Quadratic, Sgd { lr: 0.1, momentum: 0.9, nesterov: true, ..Sgd::default() },
        &[&[0.24, 0.86], &[-0.1942, -0.1884], &[-0.19629, -0.94707]],
        &[("momentum_buffer", &[1.991, 7.953]), ("f", &[0.3898566013])];
    sgd_ema: Quadratic, SgdEma { lr: 0.1, beta: 0.9, ..SgdEma::default() },
        &[&[0.96, 1.94], &[0.8858, 1.8276], &[0.78417, 1.67103]], &[("velocity", &[1.0163, 1.5657]), ("f", &[5.911956739])];
    adagrad: Quadratic, Adagrad { lr: 0.5, ..Adagrad::default() },
        &[&[0.5, 1.5], &[0.2763932023, 1.2], &[0.1642584748, 0.9799251265]],
        &[("sum", &[21.05921066, 69.76586698]), ("f", &[1.977352182])];
    adagrad_eps_outside: Quadratic, Adagrad { lr: 0.5, eps: 0.1, lr_decay: 0.1, ..Adagrad::default() },
        &[&[0.512195122, 1.508196721], &[0.3098046058, 1.237959284], &[0.2072207497, 1.05274718]],
        &[("sum", &[21.54389374, 70.83981433]), ("f", &[2.236364772])];
    adagrad_eps_inside: Quadratic, Adagrad { lr: 0.5, eps: 0.1, lr_decay: 0.1, eps_mode: EpsMode::Inside, ..Adagrad::default() },
        &[&[0.5015552137, 1.500693001], &[0.2983477792, 1.228093774], &[0.1971459806, 1.041742002]],
        &[("sum", &[21.28290026, 70.37301512]), ("f", &[2.193497475])];
    rmsprop: Quadratic, RmsProp { lr: 0.1, alpha: 0.9, ..RmsProp::default() },
        &[&[0.6837722365, 1.683772236], &[0.4988706102, 1.473875316], &[0.3705360827, 1.308040476]],
        &[("square_avg", &[2.357545998, 7.18966609]), ("f", &[3.339095956])];
    rmsprop_centered: Quadratic, RmsProp { lr: 0.1, alpha: 0.9, momentum: 0.9, centered: true, ..RmsProp::default() },
        &[&[0.6666666694, 1.666666669], &[0.1655676805, 1.13500637], &[-0.3356368109, 0.498192988]],
        &[("square_avg", &[1.975905683, 6.346321289]), ("grad_avg", &[0.6271709421, 1.279558043]),
          ("momentum_buffer", &[5.012044913, 6.368133823]), ("f", &[1.08379225])];
    rmsprop_eps_inside: Quadratic, RmsProp { lr: 0.1, alpha: 0.9, eps: 0.1, eps_mode: EpsMode::Inside, ..RmsProp::default() },
        &[&[0.6932140045, 1.688074853], &[0.5109547489, 1.479546357], &[0.3834337212, 1.314407508]],
        &[("square_avg", &[2.390402742, 7.22699279]), ("f", &[3.383161173])];
    adam: Quadratic, Adam { lr: 0.1, ..Adam::default() },
        &[&[0.9000000002, 1.9], &[0.8004122282, 1.800166486], &[0.7015867954, 1.700623157]],
        &[("exp_avg", &[0.9681403171, 1.53907452]), ("exp_avg_sq", &[0.03916403827, 0.09755359472]), ("f", &[5.82262628])];
    adam_with_a_large_eps: Quadratic, Adam { lr: 0.1, eps: 1.0, ..Adam::default() },
        &[&[0.92, 1.914285714], &[0.8409057156, 1.828944848], &[0.7629358675, 1.744065581]],
        &[("exp_avg", &[0.9898519138, 1.55325097]), ("exp_avg_sq", &[0.04068852926, 0.09917781438]), ("f", &[6.22661136])];
    adam_l2: Quadratic, Adam { lr: 0.1, eps: 1.0, weight_decay: 1.0, ..Adam::default() },
        &[&[0.9166666667, 1.911111111], &[0.8341978328, 1.822565678], &[0.7528334364, 1.734460087]],
        &[("exp_avg", &[1.232935701, 2.066689487]), ("exp_avg_sq", &[0.06318536906, 0.1756537101]), ("f", &[6.145875268])];
    adamw: Quadratic, AdamW { lr: 0.1, weight_decay: 0.1, ..AdamW::default() },
        &[&[0.8900000002, 1.88], &[0.7815873382, 1.761401649], &[0.675164233, 1.644340459]],
        &[("exp_avg", &[0.9541163665, 1.524939064]), ("exp_avg_sq", &[0.03820616622, 0.09595517354]), ("f", &[5.46700175])];
    adamw_of_llama2: Quadratic, AdamW { lr: 0.1, beta2: 0.95, eps: 1e-5, weight_decay: 0.1, ..AdamW::default() },
        &[&[0.89000025, 1.880000167], &[0.781438918, 1.761326588], &[0.674604557, 1.644061336]],
        &[("exp_avg", &[0.9540644167, 1.524909262]), ("exp_avg_sq", &[1.802870087, 4.54748871]), ("f", &[5.464122689])];
    amsgrad: Quadratic, Adam { lr: 0.5, beta2: 0.5, amsgrad: true, ..Adam::default() },
        &[&[0.5000000012, 1.500000001], &[0.04877820754, 0.984081019], &[-0.2667115048, 0.5133930903],
          &[-0.434272991, 0.1111992641], &[-0.4698927978, -0.2194633251]],
        &[("exp_avg_sq", &[3.567650378, 4.613402704]), ("max_exp_avg_sq", &[8.0, 19.12500001]), ("f", &[0.7329167217])];
    adamax: Quadratic, Adamax { lr: 0.1, ..Adamax::default() },
        &[&[0.9000000002, 1.9], &[0.8051683267, 1.802534113], &[0.7155238223, 1.707632002]],
        &[("exp_avg", &[0.9698039094, 1.540023655]), ("exp_inf", &[3.99200401, 5.98800601]), ("f", &[5.897928123])];
    nadam: Quadratic, NAdam { lr: 0.1, ..NAdam::default() },
        &[&[0.8943548224, 1.894354822], &[0.8199730702, 1.817897531], &[0.7527549528, 1.74749297]],
        &[("mu_product", &[0.09121428742]), ("exp_avg", &[0.9737494102, 1.543052615]),
          ("exp_avg_sq", &[0.03949722943, 0.09795836642]), ("f", &[6.213863711])];
    adafactor: Quadratic, Adafactor::default(),
        &[&[0.9841886117, 1.984188612], &[0.9686339974, 1.968580206], &[0.9533275038, 1.953168895]],
        &[("variance", &[15.42099136, 35.34384992]), ("f", &[8.039969745])];
    // 1/√max(t, 4) is min(1/2, 1/√t).
    adafactor_of_t5: Quadratic, Adafactor { lr: 0.5, ..Adafactor::t5() },
        &[&[0.209430585, 1.209430585], &[0.07407402239, 0.8802883802], &[0.05849300264, 0.6637603205],
          &[0.08097376279, 0.5083457026], &[0.1091016107, 0.4038901555], &[0.13480624, 0.3267801661]],
        &[("variance", &[1.5950868, 9.013671417]), ("f", &[0.370070292])];
    // Kept are means, of which three are a row's sum and two a column's.
    adafactor_of_a_matrix: Matrix, Adafactor::default(),
        &[&[0.1062207508, 0.1960603242, 0.3009242177, 0.3992246776, 0.5036826571, 0.5953348154],
          &[0.1124305474, 0.1921224754, 0.3018471392, 0.3984501071, 0.5073631233, 0.590675202],
          &[0.1186302502, 0.1881861226, 0.3027688499, 0.3976761957, 0.5110416128, 0.586020841]],
        &[("row_var", &[2.26560093 / 3.0, 4.067232518 / 3.0]),
          ("col_var", &[0.819255416 / 2.0, 3.666148871 / 2.0, 1.847429162 / 2.0]), ("f", &[3.125628025])];
    adafactor_of_pytorch: Matrix, Adafactor { lr: 0.1, eps1: f64::EPSILON, weight_decay: 0.01, ..Adafactor::pytorch() },
        &[&[0.1621075083, 0.1604032423, 0.3089421768, 0.3918467758, 0.536326571, 0.5527481539],
          &[0.2232233277, 0.1208768853, 0.3177962642, 0.3837714143, 0.5725676193, 0.5059190214],
          &[0.2833554226, 0.08135540539, 0.3265740935, 0.3757656738, 0.6087897287, 0.4594381349]],
        &[("row_var", &[0.685436612, 1.274671596]), ("col_var", &[0.3538704551, 1.728992598, 0.8572992593]),
          ("f", &[2.563504567])];
    lamb: Quadratic, Lamb { lr: 0.1, ..Lamb::default() },
        &[&[0.8426669188, 1.841109152], &[0.7005678319, 1.696867847], &[0.5723671317, 1.565467169]], &[("f", &[4.831215649])];
    lion: Quadratic, Lion { lr: 0.05, weight_decay: 0.1, ..Lion::default() },
        &[&[0.945, 1.94], &[0.890275, 1.8803], &[0.835823625, 1.8208985]],
        &[("exp_avg", &[0.11208775, 0.17298225]), ("f", &[6.870597905])];
    muon: Matrix, Muon { lr: 0.1, ..Muon::default() },
        &[&[0.1749800042, 0.1487718581, 0.2611382415, 0.4233085051, 0.534386132, 0.5232993221],
          &[0.2524902949, 0.09729421148, 0.2206690621, 0.4484091486, 0.5687976345, 0.4455872732],
          &[0.3311765699, 0.04612086579, 0.1795856812, 0.4745512366, 0.6030875218, 0.367852018]],
        &[("momentum_buffer", &[-0.1171764351, 0.1635813738, -0.03433748043, 0.02492136142, -0.208864277, 0.1811798315]),
          ("f", &[2.447869923])];
    muon_as_large_as_adamw: Matrix, Muon { lr: 0.1, adjust: Adjust::MatchRmsAdamw, ..Muon::default() },
        &[&[0.1253202455, 0.1809468714, 0.2845771224, 0.4054599436, 0.5086437564, 0.5695085668]], &[("f", &[3.09776065])];
}

/// PaLM's rate does not fall before its last warm step, here the second.
#[test]
fn adafactor_of_palm() -> Result<()> {
    for (device, dtype, digits) in [(strict(), DType::F64, 2e-9), (cpu(), DType::F32, 2e-5)] {
        let param = On::Quadratic.start(&device, dtype)?;
        let opt = Adafactor { relative_step: false, ..Adafactor::palm() }.init(&param)?;
        let want = [[0.9983188612, 1.998218861], [0.9952191645, 1.995018614], [0.4170860514, 1.08348851]];
        for (rate, want) in [0.01, 0.01, 1.0 / 3f64.sqrt()].into_iter().zip(want) {
            opt.set_lr(rate)?;
            opt.step(&On::Quadratic.loss(&param.tensor()))?;
            near(&format!("a rate of {rate} on {device}"), &param.tensor().to_vec::<f64>()?, &want, digits);
        }
        near("the momentum", &slot(&opt, "exp_avg")?, &[0.2707085675, 0.2708519545], digits);
        near("the second moment", &slot(&opt, "variance")?, &[15.91764126, 35.90550093], digits);
    }
    Ok(())
}

/// The iteration alone, through a step from zero at a rate of 1, on a matrix with more rows than columns.
#[test]
fn newton_schulz_of_a_tall_matrix() -> Result<()> {
    let want = [-0.4675185765, 0.5734733125, 0.07243228122, 0.4094526197, 0.612383139, 0.2454319268];
    for (device, dtype, digits) in [(strict(), DType::F64, 2e-9), (cpu(), DType::F32, 1e-4)] {
        let param = Param::new(tensor(&device, &[0.0; 6], &[3, 2], dtype))?;
        let rule = Muon { lr: 1.0, momentum: 0.0, nesterov: false, weight_decay: 0.0, ..Muon::default() };
        let slope = tensor(&device, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2], dtype);
        rule.init(&param)?.step(&(param.tensor() * slope).sum(..))?;
        let got: Vec<f64> = param.tensor().to_vec::<f64>()?.iter().map(|p| -p / 1.5f64.sqrt()).collect();
        near("the orthogonal matrix", &got, &want, digits);
    }
    Ok(())
}
