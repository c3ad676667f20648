//! The source of truth: SQLite, and a count of the queries it was asked.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::query::QueryAs;
use sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use crate::product::{Price, ProductChange, ProductPage, RatingCount, Review, ReviewSummary, Stock};

/// More than the cores of a small machine, so that one that waits for the disk does not idle a core.
const READERS: u32 = 8;

/// A handle to the catalogue's database. Clones share its connections and its count.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    readers: SqlitePool,
    /// One connection: SQLite admits one writer at a time, and queueing here is cheaper than finding it locked.
    writer: SqlitePool,
    queries: Arc<AtomicU64>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error("there is no product {0}")]
    NoSuchProduct(u32),
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

#[derive(sqlx::FromRow)]
struct ProductRow {
    version: u32,
    name: String,
    description: String,
    category: String,
    brand: String,
}

impl Database {
    /// Opens the database at `path`, and creates and fills it if there is none.
    pub(crate) async fn open(path: &Path) -> Result<Self, DatabaseError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5))
            .pragma("mmap_size", "1073741824")
            .pragma("cache_size", "-65536");
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        fill_if_empty(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .min_connections(READERS)
            .max_connections(READERS)
            // A file cannot hang up.
            .test_before_acquire(false)
            .connect_with(options)
            .await?;
        Ok(Self { readers, writer, queries: Arc::default() })
    }

    /// The same database, counting apart from this one.
    pub(crate) fn counted_apart(&self) -> Self {
        Self { queries: Arc::default(), ..self.clone() }
    }

    /// Queries asked so far through this handle and its clones: each SELECT and UPDATE, without BEGIN and COMMIT.
    pub(crate) fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// The product's page, all of it as of one moment.
    pub(crate) async fn page(&self, id: u32) -> Result<ProductPage, DatabaseError> {
        let mut snapshot = self.readers.begin().await?;
        let product: ProductRow = self
            .query(
                "SELECT version, product.name, description, category.name AS category, brand.name AS brand
                 FROM product JOIN category ON category.id = category_id JOIN brand ON brand.id = brand_id
                 WHERE product.id = ?",
            )
            .bind(id)
            .fetch_optional(&mut *snapshot)
            .await?
            .ok_or(DatabaseError::NoSuchProduct(id))?;
        let prices: Vec<Price> = self
            .query(
                "SELECT currency, min_quantity, cents FROM price WHERE product_id = ? ORDER BY currency, min_quantity",
            )
            .bind(id)
            .fetch_all(&mut *snapshot)
            .await?;
        let stock: Vec<Stock> = self
            .query(
                "SELECT warehouse.name AS warehouse, available FROM stock JOIN warehouse ON warehouse.id = warehouse_id
                 WHERE product_id = ? ORDER BY warehouse_id",
            )
            .bind(id)
            .fetch_all(&mut *snapshot)
            .await?;
        let reviews = self.reviews(&mut snapshot, id).await?;
        snapshot.commit().await?;
        let ProductRow { version, name, description, category, brand } = product;
        Ok(ProductPage { id, version, name, description, category, brand, prices, stock, reviews })
    }

    async fn reviews(&self, snapshot: &mut SqliteConnection, id: u32) -> Result<ReviewSummary, sqlx::Error> {
        let ratings: Vec<RatingCount> = self
            .query("SELECT stars, count(*) AS count FROM review WHERE product_id = ? GROUP BY stars ORDER BY stars")
            .bind(id)
            .fetch_all(&mut *snapshot)
            .await?;
        let latest: Vec<Review> = self
            .query("SELECT author, stars, body FROM review WHERE product_id = ? ORDER BY number DESC LIMIT 3")
            .bind(id)
            .fetch_all(&mut *snapshot)
            .await?;
        Ok(ReviewSummary { ratings, latest })
    }

    /// Commits the change, and answers with the product's new version.
    pub(crate) async fn change(&self, id: u32, change: ProductChange) -> Result<u32, DatabaseError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let (version,): (u32,) = self
            .query("UPDATE product SET name = ?, version = version + 1 WHERE id = ? RETURNING version")
            .bind(change.name)
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?
            .ok_or(DatabaseError::NoSuchProduct(id))?;
        self.query::<()>("UPDATE price SET cents = ? WHERE product_id = ? AND currency = 'EUR' AND min_quantity = 1")
            .bind(change.euro_cents)
            .bind(id)
            .fetch_all(&mut *transaction)
            .await?;
        self.query::<()>("UPDATE stock SET available = ? WHERE product_id = ?")
            .bind(change.available)
            .bind(id)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(version)
    }

    fn query<T>(&self, sql: &'static str) -> QueryAs<'static, Sqlite, T, SqliteArguments<'static>>
    where
        T: for<'row> sqlx::FromRow<'row, sqlx::sqlite::SqliteRow>,
    {
        self.queries.fetch_add(1, Ordering::Relaxed);
        sqlx::query_as(sql)
    }
}

async fn fill_if_empty(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let tables: u32 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = 'product'").fetch_one(writer).await?;
    if tables == 0 {
        let mut transaction = writer.begin().await?;
        sqlx::raw_sql(include_str!("schema.sql")).execute(&mut *transaction).await?;
        sqlx::raw_sql(include_str!("fill.sql")).execute(&mut *transaction).await?;
        transaction.commit().await?;
        sqlx::raw_sql("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);").execute(writer).await?;
    }
    Ok(())
}
