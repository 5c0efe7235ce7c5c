//! Amazon RDS's own root certificates: no public authority signs for its instances.
//!
//! Each region has roots of its own, so only those of the host's region are parsed, three out of eighty.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// PEM, in sections that each follow a line `# <region>`.
const ROOTS: &str = include_str!("../../certificates/rds.pem");

/// The root certificates for `host`, if it is an RDS instance or an Aurora cluster. `None` for other hosts, RDS proxies
/// among them: public authorities sign for those. The error says what is wrong with the URL that names the host.
pub(crate) fn roots_for(host: &str) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
    let host = host.to_ascii_lowercase();
    let Some(region) = region_of(&host) else { return Ok(None) };
    let problem = |problem: &str| {
        let how = "the head of shared/postgres/certificates/rds.pem says how to renew them";
        format!("names a host in {region}, whose root certificates {problem}: {how}")
    };
    let section = section(region).ok_or_else(|| problem("are not known"))?;
    let roots = CertificateDer::pem_slice_iter(section.as_bytes()).collect::<Result<Vec<_>, _>>();
    roots.map(Some).map_err(|_| problem("cannot be read"))
}

/// `chat.abc123.ap-south-1.rds.amazonaws.com` is in `ap-south-1`, and
/// `chat.abc123.rds.cn-north-1.amazonaws.com.cn` in `cn-north-1`.
fn region_of(host: &str) -> Option<&str> {
    if let Some(in_china) = host.strip_suffix(".amazonaws.com.cn") {
        let (instance, region) = in_china.rsplit_once('.')?;
        return instance.strip_suffix(".rds").map(|_| region);
    }
    let (instance, region) = host.strip_suffix(".rds.amazonaws.com")?.rsplit_once('.')?;
    let is_proxy = instance.rsplit('.').next().is_some_and(|label| label.starts_with("proxy-"));
    (!is_proxy).then_some(region)
}

fn section(region: &str) -> Option<&'static str> {
    let (_, section) = ROOTS.split_once(&format!("\n# {region}\n"))?;
    Some(section.split_once("\n# ").map_or(section, |(section, _)| section))
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;

    use super::*;

    fn regions() -> Vec<&'static str> {
        let (_, sections) = ROOTS.split_once("\n\n").unwrap();
        sections.lines().filter_map(|line| line.strip_prefix("# ")).collect()
    }

    fn roots_in(region: &str) -> Vec<CertificateDer<'static>> {
        roots_for(&format!("chat.abc123.{region}.rds.amazonaws.com")).unwrap().unwrap()
    }

    #[test]
    fn each_region_has_roots_of_its_own_that_rustls_accepts() {
        let mut all = RootCertStore::empty();
        for region in regions() {
            let mut own = RootCertStore::empty();
            for root in roots_in(region) {
                let name = format!("Amazon RDS {region} Root CA");
                assert!(root.windows(name.len()).any(|part| part == name.as_bytes()), "{region}");
                own.add(root.clone()).unwrap();
                all.add(root).unwrap();
            }
            // RSA of two sizes and ECC, which an instance can choose between.
            assert!(own.len() >= 3, "{region}: {}", own.len());
        }
        assert_eq!(all.len(), ROOTS.matches("BEGIN CERTIFICATE").count());
    }

    #[test]
    fn regions_are_sorted_and_named_once() {
        assert!(regions().is_sorted_by(|one, next| one < next), "{:?}", regions());
        for region in ["ap-south-1", "eu-central-1", "us-east-1"] {
            assert!(regions().contains(&region), "{region}");
        }
    }

    #[test]
    fn a_cluster_is_like_an_instance_and_case_does_not_matter() {
        let cluster = roots_for("Chat.cluster-abc123.AP-SOUTH-1.rds.amazonaws.com");
        assert_eq!(cluster, Ok(Some(roots_in("ap-south-1"))));
    }

    #[test]
    fn an_unknown_region_is_an_error_that_says_how_to_renew() {
        for (host, region) in [
            ("chat.abc123.xx-north-9.rds.amazonaws.com", "xx-north-9"),
            ("chat.abc123.rds.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ] {
            let error = roots_for(host).unwrap_err();
            assert!(error.contains(region) && error.contains("rds.pem says how"), "{error}");
        }
    }

    #[test]
    fn other_hosts_have_public_certificates() {
        for host in [
            "localhost",
            "127.0.0.1",
            "db.example.com",
            "rds.amazonaws.com",
            "ap-south-1.rds.amazonaws.com",
            "cache.abc123.cn-north-1.amazonaws.com.cn",
            "chat.abc123.ap-south-1.rds.amazonaws.com.example.com",
            "chat.proxy-abc123.ap-south-1.rds.amazonaws.com",
        ] {
            assert_eq!(roots_for(host), Ok(None), "{host}");
        }
    }
}
