//! A column of the `meta.k8s.io/v1` Table form.

/// One column definition, as `metav1.TableColumnDefinition` carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Title; kubectl prints it in capitals.
    pub name: &'static str,
    /// OpenAPI type of the cells: `string`, `integer` or `boolean`.
    pub kind: &'static str,
    /// `name` for the column that identifies the object, otherwise empty.
    pub format: &'static str,
    /// Text for clients that explain columns.
    pub description: &'static str,
    /// 0 for every table, 1 for `-o wide` alone.
    pub priority: i32,
}

impl Column {
    /// The object's name.
    pub const NAME: Self = Self {
        name: "Name",
        kind: "string",
        format: "name",
        description: "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
        priority: 0,
    };

    /// Time since creation.
    pub const AGE: Self = Self::text(
        "Age",
        "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
    );

    /// Time of creation, which kinds without a table of their own show.
    pub const CREATED_AT: Self = Self {
        name: "Created At",
        kind: "date",
        ..Self::AGE
    };

    /// Container names of a template (wide).
    pub const CONTAINERS: Self =
        Self::text("Containers", "Names of each container in the template.").wide();
    /// Container images of a template (wide).
    pub const IMAGES: Self = Self::text(
        "Images",
        "Images referenced by each container in the template.",
    )
    .wide();

    /// A column of texts.
    #[must_use]
    pub const fn text(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            kind: "string",
            format: "",
            description,
            priority: 0,
        }
    }

    /// A column of integers.
    #[must_use]
    pub const fn integer(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            kind: "integer",
            format: "",
            description,
            priority: 0,
        }
    }

    /// A column of booleans.
    #[must_use]
    pub const fn boolean(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            kind: "boolean",
            format: "",
            description,
            priority: 0,
        }
    }

    /// The column as `metav1.TableColumnDefinition`.
    #[must_use]
    pub fn definition(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "type": self.kind, "format": self.format,
            "description": self.description, "priority": self.priority,
        })
    }

    /// The same column, shown by `-o wide` alone.
    #[must_use]
    pub const fn wide(self) -> Self {
        Self {
            priority: 1,
            ..self
        }
    }
}
