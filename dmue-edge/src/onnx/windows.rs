//! Convolutions and poolings.

use tract_core::internal::{
    Datum, DatumType, OutletId, TVec, Tensor, TractErrorContext, TractResult, bail, ensure, tvec,
};
use tract_core::ops::array::{Pad, PadMode};
use tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_core::ops::nn::DataFormat;

use super::node::{Node, lengths};

impl Node<'_> {
    pub fn convolution(&mut self) -> TractResult<OutletId> {
        let operator = self.operator_of(1, None)?;
        let bias = self.bias(2, f32::datum_type())?;
        self.wire(operator, &[self.input(0)?, self.input(1)?, bias])
    }

    /// Inputs in the file: image, kernel and output with scale and zero point each, then the bias; in tract: image,
    /// kernel and bias, then zero point and scale of each.
    pub fn quantised_convolution(&mut self) -> TractResult<OutletId> {
        let made = self.model.outlet_fact(self.input(7)?)?.datum_type;
        for (values, zero_point) in [(0, 2), (3, 5)] {
            self.same_type(&[self.input(values)?, self.input(zero_point)?])?;
        }
        let operator = self.operator_of(3, Some(made))?;
        let bias = self.bias(8, i32::datum_type())?;
        let mut inputs = vec![self.input(0)?, self.input(3)?, bias];
        for scale in [1, 4, 6] {
            inputs.push(self.constant_as::<i32>(scale + 1)?);
            inputs.push(self.constant_as::<f32>(scale)?);
        }
        self.wire(operator, &inputs)
    }

    /// Zero where it is left out.
    fn bias(&mut self, place: usize, of: DatumType) -> TractResult<OutletId> {
        match self.optional(place) {
            Some(bias) => Ok(bias),
            None => self.add_constant(Tensor::zero_scalar_dt(of)?),
        }
    }

    fn constant_as<T: Datum>(&mut self, place: usize) -> TractResult<OutletId> {
        let value = self.constant(place)?.cast_to::<T>()?.into_owned();
        self.add_constant(value)
    }

    /// The convolution by a kernel `[O, I / groups, ...]`.
    fn operator_of(&self, kernel: usize, made: Option<DatumType>) -> TractResult<Conv> {
        let image = self.shape(self.input(0)?)?;
        let kernel = self.shape(self.input(kernel)?)?;
        let group = usize::try_from(self.int("group", 1)).ok().filter(|&groups| groups > 0);
        let group = group.context("`group` must be 1 or more")?;
        ensure!(kernel.len() >= 3 && kernel.len() == image.len(), "{kernel:?} on {image:?}");
        let channels = group.checked_mul(kernel[1]);
        ensure!(
            channels == Some(image[1]) && kernel[0].is_multiple_of(group),
            "a kernel {kernel:?} in {group} groups on {} channels",
            image[1]
        );
        let window: TVec<usize> = kernel[2..].into();
        if let Some(said) = self.lengths("kernel_shape")? {
            ensure!(said == window, "`kernel_shape` is {said:?}, the kernel {kernel:?}");
        }
        let pool_spec = PoolSpec {
            input_channels: image[1],
            output_channels: kernel[0],
            ..self.window(window, false)?
        };
        Ok(Conv { pool_spec, kernel_fmt: KernelFormat::OIHW, group, q_params: made })
    }

    pub fn max_pool(&mut self) -> TractResult<OutletId> {
        let pool_spec = self.pool()?;
        self.wire(MaxPool { pool_spec, with_index_outputs: None }, &[self.input(0)?])
    }

    pub fn average_pool(&mut self) -> TractResult<OutletId> {
        let pool_spec = self.pool()?;
        let count_include_pad = self.int("count_include_pad", 0) == 1;
        let operator = SumPool { pool_spec, count_include_pad, normalize: true };
        self.wire(operator, &[self.input(0)?])
    }

    fn pool(&self) -> TractResult<PoolSpec> {
        let image = self.shape(self.input(0)?)?;
        let window = self.lengths("kernel_shape")?.context("it has no `kernel_shape`")?;
        ensure!(window.len() + 2 == image.len(), "`kernel_shape` is {window:?} on {image:?}");
        let channels = image[1];
        let spec = self.window(window, true)?;
        Ok(PoolSpec { input_channels: channels, output_channels: channels, ..spec })
    }

    /// What both have in common; channels are filled in by the caller.
    fn window(&self, kernel_shape: TVec<usize>, pools: bool) -> TractResult<PoolSpec> {
        let axes = kernel_shape.len();
        let steps = |name: &str| {
            let steps = self.lengths(name)?;
            let fits = steps.iter().all(|steps| steps.len() == axes && !steps.contains(&0));
            ensure!(fits, "`{name}` is {steps:?} for {axes} axes");
            Ok(steps)
        };
        ensure!(!kernel_shape.contains(&0), "its window is {kernel_shape:?}");
        Ok(PoolSpec {
            data_format: DataFormat::NCHW,
            padding: self.padding(axes, pools)?,
            dilations: steps("dilations")?,
            strides: steps("strides")?,
            kernel_shape,
            input_channels: 0,
            output_channels: 0,
        })
    }

    fn padding(&self, axes: usize, pools: bool) -> TractResult<PaddingSpec> {
        match self.attribute("auto_pad").map(|attribute| attribute.s.as_slice()) {
            None | Some(b"NOTSET" | b"") => {}
            Some(b"VALID") => return Ok(PaddingSpec::Valid),
            Some(b"SAME_UPPER") => return Ok(PaddingSpec::SameUpper),
            Some(b"SAME_LOWER") => return Ok(PaddingSpec::SameLower),
            Some(other) => bail!("`auto_pad` is {}", String::from_utf8_lossy(other)),
        }
        let pads = self.lengths("pads")?.unwrap_or_else(|| tvec![0; 2 * axes]);
        ensure!(pads.len() == 2 * axes, "`pads` is {pads:?} for {axes} axes");
        let (before, after) = (pads[..axes].into(), pads[axes..].into());
        Ok(match pools {
            true => PaddingSpec::ExplicitOnnxPool(before, after, self.int("ceil_mode", 0) == 1),
            false => PaddingSpec::Explicit(before, after),
        })
    }

    /// With a constant; how much is an input, or an attribute as earlier operator sets have it.
    pub fn pad(&mut self) -> TractResult<OutletId> {
        let mode = self.attribute("mode").map(|attribute| attribute.s.as_slice());
        ensure!(
            matches!(mode, None | Some(b"constant")),
            "it pads by something else than a number"
        );
        let pads = lengths("pads", &self.listed("pads", 1)?.context("it has no `pads`")?)?;
        let input = self.input(0)?;
        let rank = self.rank(input)?;
        ensure!(pads.len() == 2 * rank, "`pads` is {pads:?} for {rank} axes");
        let (before, after) = pads.split_at(rank);
        let pads = before.iter().copied().zip(after.iter().copied()).collect();
        let value = match self.optional(2) {
            Some(_) => self.constant(2)?.cast_to_scalar::<f32>()?,
            None => self.float("value", 0.0),
        };
        self.wire(Pad { pads, mode: PadMode::Constant(Tensor::from(value).into()) }, &[input])
    }
}
