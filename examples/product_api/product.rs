//! What the API shows and changes.

use serde::{Deserialize, Serialize};

/// A product's page, assembled from six tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProductPage {
    pub(crate) id: u32,
    /// Counts the committed changes of this product, from 1.
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) brand: String,
    pub(crate) prices: Vec<Price>,
    pub(crate) stock: Vec<Stock>,
    pub(crate) reviews: ReviewSummary,
}

/// A price from a quantity on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub(crate) struct Price {
    pub(crate) currency: String,
    pub(crate) min_quantity: u32,
    pub(crate) cents: i64,
}

/// What one warehouse holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub(crate) struct Stock {
    pub(crate) warehouse: String,
    pub(crate) available: i64,
}

/// The customers' opinion in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReviewSummary {
    pub(crate) ratings: Vec<RatingCount>,
    pub(crate) latest: Vec<Review>,
}

/// How many customers gave this many stars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub(crate) struct RatingCount {
    pub(crate) stars: u32,
    pub(crate) count: u32,
}

/// One customer's review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub(crate) struct Review {
    pub(crate) author: String,
    pub(crate) stars: u32,
    pub(crate) body: String,
}

/// The body of `PUT /products/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProductChange {
    pub(crate) name: String,
    /// The single-piece price in euro cents.
    pub(crate) euro_cents: i64,
    /// What each warehouse holds from now on.
    pub(crate) available: i64,
}

/// The answer to `PUT /products/{id}`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub(crate) version: u32,
}
