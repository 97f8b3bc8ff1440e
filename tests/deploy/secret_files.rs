//! The recipes of `deploy/secrets/` for files that Kubernetes or systemd puts in place.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use crate::recipe::{Recipe, SECRET};

/// A volume as the kubelet lays it out: names that lead through `..data`, which an update swaps.
fn fill_volume(recipe: &Recipe, generation: &str, secret: &str) {
    let volume = recipe.sandbox.path("volume");
    let data = volume.join(generation);
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("token"), secret).unwrap();
    fs::set_permissions(data.join("token"), fs::Permissions::from_mode(0o440)).unwrap();
    symlink(generation, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    if !volume.join("token").exists() {
        symlink("..data/token", volume.join("token")).unwrap();
    }
}

#[test]
fn a_kubernetes_volume_gives_its_secret_and_the_next_one_by_itself() {
    let recipe = Recipe::of("kubernetes");
    let volume = recipe.sandbox.text("volume/");
    let recipe = recipe.replacing(
        "path = \"/run/portcullis/secrets/",
        &format!("path = \"{volume}"),
    );
    fill_volume(&recipe, "..2026_10_01", SECRET);
    recipe.gives_its_secret_to_the_gateway();

    let served = recipe.serve();
    fill_volume(&recipe, "..2026_11_01", "rotated");
    let deadline = Instant::now() + Duration::from_secs(30);
    while served.shown_credential() != "Bearer rotated" {
        assert!(Instant::now() < deadline, "{}", served.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_systemd_credential_gives_its_secret_to_the_gateway() {
    let recipe = Recipe::of("systemd");
    let folder = recipe.sandbox.text("credentials/");
    let recipe = recipe
        .replacing("/run/credentials/portcullis.service/", &folder)
        .with_file("credentials/gateway-token", &format!("{SECRET}\n"));
    let file = recipe.sandbox.path("credentials/gateway-token");
    // Root's, with an access list for the service's user that shows as the group's bits.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
    recipe.gives_its_secret_to_the_gateway();

    fs::remove_file(file).unwrap();
    recipe.fails_with(
        &[
            "SECRET_PROVIDER_UNAVAILABLE",
            "file:credentials:value",
            "credentials/gateway-token",
        ],
        SECRET,
    );
}
