//! The layout of a package, by example.

use std::io::{Cursor, Write};

use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

const PACKAGE: &str = "apiVersion: v1\nkind: skipper\nname: log\nversion: 1.0.0\n";

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn read(files: &[(&str, &str)]) -> Result<Package> {
    unzip(&zip(files), 1 << 20, "log-1.0.0/")
}

#[track_caller]
fn message(files: &[(&str, &str)]) -> String {
    read(files).unwrap_err().to_string()
}

fn metadata(text: &str) -> Result<PackageMetadata> {
    metadata::parse("`log-1.0.0/package.yml` in the package", text)
}

#[test]
fn a_package_is_read_as_its_folder_is_laid_out() {
    let package = read(&[
        ("log-1.0.0/Package.YAML", PACKAGE),
        ("log-1.0.0/VALUES.yml", "# values\na: 1\n"),
        ("log-1.0.0/templates/z.yml", "z"),
        ("log-1.0.0/templates/a.yaml", "a"),
        ("log-1.0.0/templates/.hidden.yml", "no"),
        ("log-1.0.0/templates/README.md", "no"),
        ("log-1.0.0/templates/deep/b.yml", "no"),
        ("log-1.0.0/Templates/b.yml", "no"),
        ("log-1.0.0/a-manifest.yml", "mine"),
        ("log-1.0.0/other.yml", "no"),
        ("__MACOSX/log-1.0.0/package.yml", "no"),
    ])
    .unwrap();

    assert_eq!(package.metadata.name, "log");
    assert_eq!(package.config_values.unwrap().raw.as_deref(), Some("# values\na: 1\n"));
    let template = |name: &str, data: &str| Template { name: name.into(), data: data.into() };
    assert_eq!(package.templates, [template("a.yaml", "a"), template("z.yml", "z")]);
    assert_eq!(package.dependencies, []);
    let holder = FileHolder { bytes: "bWluZQ==".into(), name: "a-manifest.yml".into() };
    assert_eq!(package.file_holders, [holder]);
}

#[test]
fn sub_packages_are_named_by_their_metadata_and_sorted_by_their_folders() {
    let package = read(&[
        ("log-1.0.0/package.yml", PACKAGE),
        ("log-1.0.0/Packages/b/package.yml", "name: one\nversion: 1.0.0\nrepositoryName: x"),
        ("log-1.0.0/Packages/a/package.yml", "name: two\nversion: 2.0.0"),
        ("log-1.0.0/Packages/a/values.yml", "v: 2"),
        ("log-1.0.0/Packages/a/packages/c/package.yml", "name: three\nversion: 3.0.0"),
        ("log-1.0.0/Packages/readme.yml", "no"),
    ])
    .unwrap();

    let [two, one] = package.dependencies.as_slice() else { panic!("{package:?}") };
    assert_eq!((one.metadata.name.as_str(), two.metadata.name.as_str()), ("one", "two"));
    assert_eq!(one.metadata.repository_name, None);
    assert_eq!(one.config_values, None);
    assert_eq!(two.dependencies[0].metadata.name, "three");
}

#[test]
fn sub_packages_are_nested_only_so_deep() {
    let mut root = "log-1.0.0/".to_owned();
    let mut paths = Vec::new();
    for _ in 0..=DEPTH_MAX + 1 {
        paths.push(format!("{root}package.yml"));
        root += "packages/p/";
    }
    let files: Vec<_> = paths.iter().map(|it| (it.as_str(), PACKAGE)).collect();

    assert!(read(&files[..=DEPTH_MAX]).is_ok());
    assert!(message(&files).contains("may be nested 8 deep"));
}

#[test]
fn sub_packages_are_counted_at_every_depth() {
    let paths: Vec<String> = (0..=SUB_PACKAGES_MAX)
        .map(|it| match it {
            0 => "log-1.0.0/package.yml".to_owned(),
            1..=50 => format!("log-1.0.0/packages/p{it}/package.yml"),
            _ => format!("log-1.0.0/packages/p1/packages/p{it}/package.yml"),
        })
        .chain(["log-1.0.0/packages/p2/packages/more/package.yml".to_owned()])
        .collect();
    let files: Vec<_> = paths.iter().map(|it| (it.as_str(), PACKAGE)).collect();

    assert!(read(&files[..=SUB_PACKAGES_MAX]).is_ok());
    assert!(message(&files).contains("may have 100 sub-packages"));
}

#[test]
fn a_zip_without_the_package_s_folder_is_refused() {
    let error = read(&[("log-1.0.1/package.yml", PACKAGE)]).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }));
    assert_eq!(error.to_string(), "Package is expected to be unpacked, but it doesn't exist");
}

#[test]
fn a_package_without_metadata_is_refused() {
    assert!(message(&[("log-1.0.0/values.yml", "")]).contains("no `log-1.0.0/package.yml`"));
    let nameless = [("log-1.0.0/package.yml", PACKAGE), ("log-1.0.0/packages/a/values.yml", "")];
    assert!(message(&nameless).contains("no `log-1.0.0/packages/a/package.yml`"));
}

#[test]
fn metadata_is_text_as_it_was_written() {
    let read = metadata("name: on\nversion: 1.10\ntags: 0x1F\norigin: null\nappVersion: 1\n");
    let expected = PackageMetadata {
        name: "on".into(),
        version: "1.10".into(),
        tags: Some("0x1F".into()),
        ..PackageMetadata::default()
    };
    assert_eq!(read.unwrap(), expected);
}

#[test]
fn the_java_writer_s_metadata_is_read() {
    let text = "\
!!org.springframework.cloud.skipper.domain.PackageMetadata
apiVersion: skipper.spring.io/v1
description: null
kind: SpringCloudDeployerApplication
maintainer: null
name: ticktock
packageFile: null
repositoryId: null
version: 1.0.0
";
    assert_eq!(metadata(text).unwrap().name, "ticktock");
    assert!(metadata(&text.replace("domain", "evil")).is_err());
}

#[test]
fn metadata_that_is_none_is_refused() {
    let message = |text: &str| metadata(text).unwrap_err().to_string();
    assert_eq!(
        message("name: log"),
        "`log-1.0.0/package.yml` in the package: `version` is missing"
    );
    assert!(message("name: ''\nversion: 1").contains("`name` is missing"));
    assert!(message("[a]").contains("must be a map"));
    assert!(message("").contains("must be a map"));
    assert!(message("name: [a]\nversion: 1").contains("`name` must be a text"));
    assert!(message("name: {").contains("line "));
    assert!(message("!!javax.script.ScriptEngineManager []").contains("is not known here"));
    let long = format!("name: {}\nversion: 1", "n".repeat(256));
    assert!(message(&long).contains("longer than 255"));
}

#[test]
fn what_escape_made_of_a_release_is_read() {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = ::tar::Builder::new(gzip);
    for (path, text) in [
        ("log-v1.0.0/escape.json", "{}"),
        ("log-v1.0.0/package.yml", PACKAGE),
        ("log-v1.0.0/templates/log.yml", "a: 1"),
        ("log-v1.0.0/packages/x/package.yml", "name: x\nversion: 1"),
    ] {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let bytes = builder.into_inner().unwrap().finish().unwrap();
    let roots = ["log-1.0.0/".to_owned(), "log-v1.0.0/".to_owned()];

    let package = unpack(&bytes, 1 << 20, &roots).unwrap();

    assert_eq!(package.metadata.name, "log");
    assert_eq!((package.templates.len(), package.dependencies.len()), (1, 1));
    assert!(unzip(&bytes, 1 << 20, "log-v1.0.0/").is_err(), "only of the inventory");
}

#[test]
fn texts_must_be_utf_8() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in [("package.yml", PACKAGE.as_bytes()), ("values.yml", b"\xff")] {
        writer.start_file(format!("log-1.0.0/{name}"), SimpleFileOptions::default()).unwrap();
        writer.write_all(text).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();

    let error = unzip(&bytes, 1 << 20, "log-1.0.0/").unwrap_err();

    assert!(error.to_string().contains("`log-1.0.0/values.yml` in the package is not UTF-8"));
}
