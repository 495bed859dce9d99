//! Changes to a decoded model that byte mutations would hardly find: it stays a readable file, and the
//! lie is in what it says.

use arbitrary::{Arbitrary, Result, Unstructured};
use dmue_edge::model::OPERATORS;
use dmue_edge::model::proto::{attribute_int, attribute_ints, node, pb};
use pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// Operators that the library does not accept.
const REFUSED: [&str; 4] = ["Loop", "Resize", "Tile", "ConstantOfShape"];

/// Attributes of integers that those operators read.
const ATTRIBUTES: [&str; 17] = [
    "axes",
    "axis",
    "auto_pad",
    "ceil_mode",
    "dilations",
    "group",
    "kernel_shape",
    "keepdims",
    "largest",
    "num_outputs",
    "pads",
    "perm",
    "sorted",
    "split",
    "strides",
    "transA",
    "transB",
];

/// One change, drawn from `source`.
///
/// # Errors
/// `source` has no bytes left.
pub fn apply(model: &mut ModelProto, source: &mut Unstructured<'_>) -> Result<()> {
    let manifest = model.metadata_props.first_mut();
    let Some(graph) = model.graph.as_mut() else { return Ok(()) };
    match source.int_in_range(0..=9)? {
        0 => edit_text(manifest.map(|entry| &mut entry.value), source),
        1 => edit_dims(graph, source),
        2 => edit_values(graph, source),
        3 => insert_node(graph, source),
        4 => edit_input(graph, source),
        5 => edit_operator(graph, source),
        6 => edit_declared(graph, source),
        _ => edit_attribute(graph, source),
    }
}

/// Mostly small, sometimes absurd.
fn number(source: &mut Unstructured<'_>) -> Result<i64> {
    Ok(match source.int_in_range(0..=9)? {
        0 => i64::arbitrary(source)?,
        1 => 1 << source.int_in_range(0..=62)?,
        2 => i64::from(i16::arbitrary(source)?),
        3 => -source.int_in_range(1..=4)?,
        _ => source.int_in_range(0..=9)?,
    })
}

fn numbers(source: &mut Unstructured<'_>) -> Result<Vec<i64>> {
    let count = source.int_in_range(0..=6)?;
    (0..count).map(|_| number(source)).collect()
}

fn one_of<'a, T>(items: &'a mut [T], source: &mut Unstructured<'_>) -> Result<Option<&'a mut T>> {
    if items.is_empty() {
        return Ok(None);
    }
    let index = source.choose_index(items.len())?;
    Ok(items.get_mut(index))
}

/// Replaces one stretch of digits, or one character.
fn edit_text(text: Option<&mut String>, source: &mut Unstructured<'_>) -> Result<()> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(()) };
    let mut characters: Vec<char> = text.chars().collect();
    let start = source.choose_index(characters.len())?;
    let digits = characters.iter().skip(start).take_while(|c| c.is_ascii_digit()).count();
    let with = match digits {
        0 => char::arbitrary(source)?.to_string(),
        _ => number(source)?.to_string(),
    };
    characters.splice(start..start + digits.max(1), with.chars());
    *text = characters.into_iter().collect();
    Ok(())
}

fn edit_dims(graph: &mut GraphProto, source: &mut Unstructured<'_>) -> Result<()> {
    let Some(tensor) = one_of(&mut graph.initializer, source)? else { return Ok(()) };
    match bool::arbitrary(source)? {
        true => tensor.dims = numbers(source)?,
        false => {
            if let Some(dim) = one_of(&mut tensor.dims, source)? {
                *dim = number(source)?;
            }
        }
    }
    Ok(())
}

/// Other values, with as many bytes as they need: the sizes go on to fit.
fn edit_values(graph: &mut GraphProto, source: &mut Unstructured<'_>) -> Result<()> {
    let Some(tensor) = one_of(&mut graph.initializer, source)? else { return Ok(()) };
    match source.int_in_range(0..=3)? {
        0 => tensor.data_type = source.int_in_range(0..=17)?,
        1 => resize(tensor, source)?,
        _ if tensor.data_type == 7 => {
            tensor.raw_data = number(source)?.to_le_bytes().to_vec();
        }
        _ => {
            if let Some(byte) = one_of(&mut tensor.raw_data, source)? {
                *byte = u8::arbitrary(source)?;
            }
        }
    }
    Ok(())
}

fn resize(tensor: &mut TensorProto, source: &mut Unstructured<'_>) -> Result<()> {
    let Some(dim) = one_of(&mut tensor.dims, source)? else { return Ok(()) };
    *dim = source.int_in_range(1..=8)?;
    let size = if tensor.data_type == 7 { 8 } else { 4 };
    let count = tensor.dims.iter().fold(1_i64, |product, dim| product.saturating_mul(*dim));
    if let Ok(count @ 0..=4096) = usize::try_from(count) {
        tensor.raw_data.resize(count * size, 0);
    }
    Ok(())
}

/// A node between two that were there: its output takes the place of its first input further down.
fn insert_node(graph: &mut GraphProto, source: &mut Unstructured<'_>) -> Result<()> {
    let at = source.choose_index(graph.node.len() + 1)?;
    let constants: Vec<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let made = graph.node.iter().take(at).flat_map(|node| node.output.iter().cloned());
    let values: Vec<String> = made.chain(["face".to_string()]).collect();
    let input = source.choose(&values)?.clone();
    let output = format!("inserted.{}", graph.node.len());
    let mut inputs = vec![input.clone()];
    for _ in 0..source.int_in_range(0..=2)? {
        let from = if bool::arbitrary(source)? { &constants } else { &values };
        if !from.is_empty() {
            inputs.push(source.choose(from)?.clone());
        }
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let operator = operator(source)?;
    let attributes =
        (0..source.int_in_range(0..=3)?).map(|_| attribute(source)).collect::<Result<_>>()?;
    for node in graph.node.iter_mut().skip(at) {
        node.input.iter_mut().filter(|name| **name == input).for_each(|name| {
            name.clone_from(&output);
        });
    }
    graph.node.insert(at, node(operator, &inputs, &[&output], attributes));
    Ok(())
}

fn edit_input(graph: &mut GraphProto, source: &mut Unstructured<'_>) -> Result<()> {
    let made = graph.node.iter().flat_map(|node| node.output.iter().cloned());
    let constants = graph.initializer.iter().map(|tensor| tensor.name.clone());
    let names: Vec<String> = made.chain(constants).chain([String::new()]).collect();
    let Some(node) = one_of(&mut graph.node, source)? else { return Ok(()) };
    let name = source.choose(&names)?.clone();
    match source.int_in_range(0..=3)? {
        0 => node.input.push(name),
        1 => drop(node.input.pop()),
        _ => {
            if let Some(input) = one_of(&mut node.input, source)? {
                *input = name;
            }
        }
    }
    Ok(())
}

/// Mostly one that is accepted.
fn operator(source: &mut Unstructured<'_>) -> Result<&'static str> {
    let index = source.choose_index(OPERATORS.len() + REFUSED.len())?;
    Ok(OPERATORS.get(index).copied().unwrap_or_else(|| REFUSED[index - OPERATORS.len()]))
}

fn edit_operator(graph: &mut GraphProto, source: &mut Unstructured<'_>) -> Result<()> {
    let Some(node) = one_of(&mut graph.node, source)? else { return Ok(()) };
    node.op_type = operator(source)?.to_string();
    Ok(())
}

/// What the graph says about its input and outputs.
fn edit_declared(graph: &mut GraphProto, source: &mut Unstructured<'_>) -> Result<()> {
    use pb::{tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Type};
    let values = if bool::arbitrary(source)? { &mut graph.input } else { &mut graph.output };
    let Some(value) = one_of(values, source)? else { return Ok(()) };
    let declared = value.r#type.as_mut().and_then(|declared| declared.value.as_mut());
    let Some(Type::TensorType(tensor)) = declared else { return Ok(()) };
    let Some(shape) = tensor.shape.as_mut() else { return Ok(()) };
    if let Some(dim) = one_of(&mut shape.dim, source)? {
        dim.value = Some(Dim::DimValue(number(source)?));
    }
    Ok(())
}

fn edit_attribute(graph: &mut GraphProto, source: &mut Unstructured<'_>) -> Result<()> {
    let Some(node) = one_of(&mut graph.node, source)? else { return Ok(()) };
    let NodeProto { attribute: attributes, .. } = node;
    match one_of(attributes, source)? {
        Some(attribute) if source.ratio(2, 3)? => match one_of(&mut attribute.ints, source)? {
            Some(value) => *value = number(source)?,
            None => attribute.i = number(source)?,
        },
        _ => attributes.push(attribute(source)?),
    }
    Ok(())
}

fn attribute(source: &mut Unstructured<'_>) -> Result<AttributeProto> {
    let name = source.choose(&ATTRIBUTES)?;
    Ok(match bool::arbitrary(source)? {
        true => attribute_ints(name, &numbers(source)?),
        false => attribute_int(name, number(source)?),
    })
}
