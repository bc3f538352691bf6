//! Makes the repositories those of the settings.

use crate::{
    config::{self, Config},
    error::{Error, Result},
    store::{
        Store,
        packages::{self, LOCAL, Repository},
    },
};

/// Enters what is new, and what has changed.
pub async fn enter(store: &Store, config: &Config) -> Result<()> {
    let configured = of_settings(config);
    let wanted = configured.clone();
    store
        .scan(move |view| {
            for it in &wanted {
                let kept = packages::repository(view, &it.name)?;
                let changed = kept.filter(|kept| kind(kept) != kind(it));
                if let Some(kept) = changed
                    && packages::has_packages(view, &it.name)?
                {
                    return Err(changed_kind(&kept, it));
                }
            }
            Ok(())
        })
        .await?;
    store.write_unaudited(move |change| packages::repositories_follow(change, &configured)).await
}

/// The repositories of the settings, and `local`, which says where this server is
/// unless the settings say something else.
fn of_settings(config: &Config) -> Vec<Repository> {
    let mut all = config::repositories(config);
    let at = all.iter().position(|it| it.name == LOCAL).unwrap_or_else(|| {
        all.push(packages::local());
        all.len() - 1
    });
    let local = &mut all[at];
    if local.url.is_empty() {
        local.url = format!("http://{}", config.listen);
    }
    if local.description.is_none() {
        local.description = packages::local().description;
    }
    all
}

/// Packages of one kind make no sense in a repository of another: an upload has bytes
/// here and nowhere else, a remote package has none here.
fn changed_kind(kept: &Repository, wanted: &Repository) -> Error {
    let name = &wanted.name;
    let message = format!(
        "there are packages in it from when it was {}, so it cannot become {}: choose another \
         name, or start once without it where they are to go",
        kind(kept),
        kind(wanted)
    );
    Error::invalid(format!("repositories.{name}"), message)
}

fn kind(repository: &Repository) -> &'static str {
    match (repository.local, &repository.inventory) {
        (true, _) => "a local repository",
        (false, None) => "a remote one",
        (false, Some(_)) => "one of the inventory",
    }
}
