//! Addresses of the service in each known region, and of IAM.

use super::endpoint::Endpoint;
use crate::model::words::nearest;

/// source: huaweicloud-sdk-python-v3 `huaweicloudsdksms/v3/region/sms_region.py`; ap-southeast-1 is in older SDKs only.
/// The hosts of the editions eu, ally-visitor-1 and ae-ad-1 are not established.
const HOSTS: [(&str, &str); 5] = [
    ("cn-north-4", "sms.cn-north-4.myhuaweicloud.com"),
    ("ap-southeast-3", "sms.ap-southeast-3.myhuaweicloud.com"),
    ("ap-southeast-1", "sms.ap-southeast-1.myhuaweicloud.com"),
    ("my-kualalumpur-1", "sms.my-kualalumpur-1.myhuaweicloud.com"),
    ("ru-moscow-1", "sms-api.ru-moscow-1.myhuaweicloud.com"),
];

/// Regions that have an IAM host of their own.
/// source: `huaweicloudsdkcore/auth/endpoint.py`.
const IAM: [&str; 27] = [
    "cn-north-1",
    "cn-north-2",
    "cn-north-4",
    "cn-north-9",
    "cn-north-12",
    "cn-east-2",
    "cn-east-3",
    "cn-east-4",
    "cn-east-5",
    "cn-south-1",
    "cn-south-2",
    "cn-southwest-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "af-south-1",
    "sa-brazil-1",
    "la-south-2",
    "la-north-2",
    "na-mexico-1",
    "eu-west-0",
    "my-kualalumpur-1",
    "ru-moscow-1",
    "me-east-1",
    "ae-ad-1",
    "tr-west-1",
];

/// Returns the service's endpoint in a region, or a message about the region.
pub(crate) fn endpoint(region: &str) -> Result<Endpoint, String> {
    if let Some((_, host)) = HOSTS.iter().find(|(name, _)| *name == region) {
        return Ok(format!("https://{host}").parse().expect("the table's hosts make endpoints"));
    }
    let names = HOSTS.map(|(name, _)| name);
    let near = nearest(region, names).map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
    Err(format!(
        "no endpoint of the service is known for `{region}`{near}; known are {}. One control plane serves a whole \
         site, whatever the region of its servers: cn-north-4 the Chinese one, ap-southeast-3 the international one. \
         Any other is named by --endpoint",
        names.join(", ")
    ))
}

/// Returns the endpoint that issues tokens: that of the region, or the one for all.
pub(crate) fn iam(region: Option<&str>) -> Endpoint {
    let host = match region {
        Some(region) if IAM.contains(&region) => format!("https://iam.{region}.myhuaweicloud.com"),
        Some(_) | None => "https://iam.myhuaweicloud.com".to_owned(),
    };
    host.parse().expect("the table's hosts make endpoints")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_its_host_the_odd_one_too() {
        for (region, host) in [
            ("ap-southeast-3", "https://sms.ap-southeast-3.myhuaweicloud.com"),
            ("ru-moscow-1", "https://sms-api.ru-moscow-1.myhuaweicloud.com"),
        ] {
            assert_eq!(endpoint(region).unwrap().to_string(), host);
        }
        for (region, _) in HOSTS {
            assert!(endpoint(region).is_ok(), "{region}");
        }
        let error = endpoint("ap-southeast-33").unwrap_err();
        assert!(error.contains("did you mean `ap-southeast-3`?") && error.contains("--endpoint"), "{error}");
    }

    #[test]
    fn iam_is_in_the_region_where_it_has_a_host_there() {
        assert_eq!(iam(Some("ru-moscow-1")).to_string(), "https://iam.ru-moscow-1.myhuaweicloud.com");
        assert_eq!(iam(Some("nowhere-1")).to_string(), "https://iam.myhuaweicloud.com");
        assert_eq!(iam(None).to_string(), "https://iam.myhuaweicloud.com");
    }
}
