//! Bodies, as the document describes them.

use utoipa::{
    ToSchema,
    openapi::{
        Content as Part, Ref, RefOr, Schema,
        schema::{
            AdditionalProperties, AllOfBuilder, ArrayBuilder, ObjectBuilder, SchemaFormat, Type,
        },
    },
};

use crate::api::release::{HalLinks, PlainLinks};

type Named = (String, RefOr<Schema>);

/// A body: its media types, the form it has in each, and the types that it names.
#[derive(Default)]
pub(in crate::api) struct Content {
    parts: Vec<(&'static str, Option<RefOr<Schema>>)>,
    pub(super) schemas: Vec<Named>,
}

/// No body at all.
pub(in crate::api) fn nothing() -> Content {
    Content::default()
}

/// A line of plain text.
pub(in crate::api) fn text() -> Content {
    typed("text/plain")
}

/// Text or bytes of that media type.
pub(in crate::api) fn typed(kind: &'static str) -> Content {
    let schema = kind.starts_with("text/").then(|| string(None).into());
    Content { parts: vec![(kind, schema)], schemas: Vec::new() }
}

/// One of several, as the client asks for it.
pub(in crate::api) fn either<const N: usize>(first: Content, others: [Content; N]) -> Content {
    others.into_iter().fold(first, |mut all, it| {
        all.parts.extend(it.parts);
        all.schemas.extend(it.schemas);
        all
    })
}

/// A file in a form, as the part `file`.
pub(in crate::api) fn file() -> Content {
    let bytes = string(Some("binary"));
    let form = ObjectBuilder::new().property("file", bytes).required("file");
    let form = Schema::from(form.build());
    Content { parts: vec![("multipart/form-data", Some(form.into()))], schemas: Vec::new() }
}

/// One value as JSON.
pub(in crate::api) fn json<T: ToSchema>() -> Content {
    json_of::<T>(reference::<T>())
}

/// A list of values.
pub(in crate::api) fn list_of<T: ToSchema>() -> Content {
    let items = inside::<T>();
    json_of::<T>(Schema::from(ArrayBuilder::new().items(items).build()).into())
}

/// Values by name.
pub(in crate::api) fn map_of<T: ToSchema>() -> Content {
    let values = AdditionalProperties::RefOr(inside::<T>());
    let map = ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(values));
    json_of::<T>(Schema::from(map.build()).into())
}

/// One value in the two forms of the release API.
pub(in crate::api) fn hal<T: ToSchema>() -> Content {
    let with = |links: RefOr<Schema>| {
        let both = AllOfBuilder::new().item(reference::<T>()).item(links);
        Some(Schema::from(both.build()).into())
    };
    Content {
        parts: vec![
            ("application/hal+json", with(reference::<HalLinks>())),
            ("application/json", with(reference::<PlainLinks>())),
        ],
        schemas: [named::<T>(), named::<HalLinks>(), named::<PlainLinks>()].concat(),
    }
}

impl Content {
    /// The same in another media type.
    pub(in crate::api) fn or(mut self, kind: &'static str) -> Content {
        let schema = self.parts.first().and_then(|(_, it)| it.clone());
        self.parts.push((kind, schema));
        self
    }

    /// Each media type with its form.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&'static str, Part)> {
        self.parts.iter().map(|(kind, schema)| (*kind, Part::new(schema.clone())))
    }
}

/// The types that a type names, itself first.
pub(super) fn named<T: ToSchema>() -> Vec<Named> {
    let mut all = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut all);
    all.retain(|(name, _)| name != "String");
    all
}

/// Points at a named type.
pub(super) fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// A type inside of another; plain text has no name of its own.
fn inside<T: ToSchema>() -> RefOr<Schema> {
    match T::name().as_ref() {
        "String" => string(None).into(),
        _ => reference::<T>(),
    }
}

fn json_of<T: ToSchema>(schema: RefOr<Schema>) -> Content {
    Content { parts: vec![("application/json", Some(schema))], schemas: named::<T>() }
}

fn string(format: Option<&str>) -> Schema {
    let format = format.map(|it| SchemaFormat::Custom(it.to_owned()));
    ObjectBuilder::new().schema_type(Type::String).format(format).build().into()
}
