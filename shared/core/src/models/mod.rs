//! The models on offer, and how they fail.

mod catalogue;
mod model_error;

pub use catalogue::{
    CatalogueError, ListedModel, ModelId, ModelPricing, ModelTable, OfferedModel, Tier,
};
pub use model_error::ModelError;
