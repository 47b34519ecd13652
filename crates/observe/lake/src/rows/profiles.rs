//! Profiles as rows.

use arrow_array::{Int32Array, Int64Array, RecordBatch, StringArray};
use kandela_model::tables::PROFILES;
use kandela_model::{Frame, Profile, ProfileSample, ValueType};

use super::columns::{batch, fields_of, ints, list_of, longs, optional_text, text};
use super::hex::hex;
use super::read::{Columns, conform, range};
use super::values::{AttributeColumn, attributes};
use crate::error::Result;

/// Profiles as rows of [`PROFILES`]. Line numbers beyond 2^31 stand as negative numbers, so that every one comes back.
///
/// # Errors
/// When one column would exceed 2 GiB.
pub fn profiles(profiles: &[Profile]) -> Result<RecordBatch> {
    let samples: Vec<&ProfileSample> = profiles.iter().flat_map(|profile| &profile.samples).collect();
    let frames: Vec<&Frame> = samples.iter().flat_map(|sample| &sample.stack).collect();
    let sample_fields = fields_of(PROFILES.columns, "samples")?;
    let stacks = list_of(
        fields_of(sample_fields, "stack")?,
        samples.iter().map(|sample| sample.stack.len()),
        vec![
            text(frames.iter().map(|frame| &frame.function))?,
            text(frames.iter().map(|frame| &frame.file))?,
            ints(frames.iter().map(|frame| frame.line.cast_signed())),
        ],
    )?;
    let columns = vec![
        longs(profiles.iter().map(|profile| profile.time_unix_nano)),
        longs(profiles.iter().map(|profile| profile.duration_nano)),
        text(profiles.iter().map(|profile| &profile.service))?,
        text(profiles.iter().map(|profile| &profile.value_type.kind))?,
        text(profiles.iter().map(|profile| &profile.value_type.unit))?,
        list_of(
            sample_fields,
            profiles.iter().map(|profile| profile.samples.len()),
            vec![
                stacks,
                longs(samples.iter().map(|sample| sample.value)),
                optional_text(samples.iter().map(|sample| sample.span.map(|(trace_id, _)| hex(&trace_id))))?,
                optional_text(samples.iter().map(|sample| sample.span.map(|(_, span_id)| hex(&span_id))))?,
            ],
        )?,
        attributes(profiles.iter().map(|profile| &profile.resource))?,
    ];
    batch(&PROFILES, columns)
}

/// The profiles in rows of [`PROFILES`].
///
/// # Errors
/// When a column is missing or an id is no hex.
pub fn profiles_from(batch: &RecordBatch) -> Result<Vec<Profile>> {
    let batch = conform(&PROFILES, batch)?;
    let columns = Columns::new(&PROFILES, &batch);
    let time: &Int64Array = columns.get("time_unix_nano")?;
    let duration: &Int64Array = columns.get("duration_nano")?;
    let service: &StringArray = columns.get("service")?;
    let kind: &StringArray = columns.get("kind")?;
    let unit: &StringArray = columns.get("unit")?;
    let samples = SampleColumns::new(columns)?;
    let resource = AttributeColumn::new(columns, "resource_attributes")?;
    (0..batch.num_rows())
        .map(|row| {
            Ok(Profile {
                time_unix_nano: time.value(row),
                duration_nano: duration.value(row),
                service: service.value(row).to_owned(),
                value_type: ValueType { kind: kind.value(row).to_owned(), unit: unit.value(row).to_owned() },
                samples: range(samples.offsets, row).map(|at| samples.sample(at)).collect::<Result<_>>()?,
                resource: resource.row(row),
            })
        })
        .collect()
}

struct SampleColumns<'a> {
    offsets: &'a [i32],
    columns: Columns<'a>,
    value: &'a Int64Array,
    trace_id: &'a StringArray,
    span_id: &'a StringArray,
    frame_offsets: &'a [i32],
    function: &'a StringArray,
    file: &'a StringArray,
    line: &'a Int32Array,
}

impl<'a> SampleColumns<'a> {
    fn new(columns: Columns<'a>) -> Result<Self> {
        let (offsets, samples) = columns.list("samples")?;
        let (frame_offsets, frames) = samples.list("stack")?;
        Ok(Self {
            offsets,
            columns: samples,
            value: samples.get("value")?,
            trace_id: samples.get("trace_id")?,
            span_id: samples.get("span_id")?,
            frame_offsets,
            function: frames.get("function")?,
            file: frames.get("file")?,
            line: frames.get("line")?,
        })
    }

    fn sample(&self, at: usize) -> Result<ProfileSample> {
        let trace_id = self.columns.id(self.trace_id, at)?;
        let span_id = self.columns.id(self.span_id, at)?;
        Ok(ProfileSample {
            stack: range(self.frame_offsets, at).map(|at| self.frame(at)).collect(),
            value: self.value.value(at),
            span: trace_id.zip(span_id),
        })
    }

    fn frame(&self, at: usize) -> Frame {
        Frame {
            function: self.function.value(at).to_owned(),
            file: self.file.value(at).to_owned(),
            line: self.line.value(at).cast_unsigned(),
        }
    }
}
