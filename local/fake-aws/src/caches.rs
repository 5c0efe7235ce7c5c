//! `ElastiCache`: `DescribeServerlessCaches`.

use std::fmt::Write;

use axum::response::Response;
use serde_json::Value;

use crate::answer::{NAMESPACE, REQUEST_ID, Refusal, escaped, xml_answer};
use crate::memory::Memory;
use crate::{ACCOUNT, REGION};

#[derive(Debug, Clone)]
pub(crate) struct Cache {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Cache {
    fn document(&self) -> String {
        let (name, status, host) =
            (escaped(&self.name), escaped(&self.status), escaped(&self.host));
        let port = self.port;
        format!(
            "<member>\
               <ServerlessCacheName>{name}</ServerlessCacheName>\
               <Status>{status}</Status>\
               <Engine>valkey</Engine><MajorEngineVersion>8</MajorEngineVersion>\
               <FullEngineVersion>8.1</FullEngineVersion>\
               <Endpoint><Address>{host}</Address><Port>{port}</Port></Endpoint>\
               <ReaderEndpoint><Address>{host}</Address><Port>{port}</Port></ReaderEndpoint>\
               <ARN>arn:aws:elasticache:{REGION}:{ACCOUNT}:serverlesscache:{name}</ARN>\
             </member>"
        )
    }
}

pub(crate) fn describe(memory: &Memory, parameters: &Value) -> Result<Response, Refusal> {
    let name = parameters["ServerlessCacheName"].as_str();
    let caches = memory.caches(name);
    if let (Some(name), true) = (name, caches.is_empty()) {
        let message = format!("Serverless Cache {name} not found.");
        return Err(Refusal::new(404, "ServerlessCacheNotFoundFault", message));
    }
    let members = caches.iter().fold(String::new(), |mut members, cache| {
        let _ = write!(members, "{}", cache.document());
        members
    });
    Ok(xml_answer(
        200,
        format!(
            "<DescribeServerlessCachesResponse xmlns=\"{NAMESPACE}\">\
               <DescribeServerlessCachesResult>\
                 <ServerlessCaches>{members}</ServerlessCaches>\
               </DescribeServerlessCachesResult>\
               <ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata>\
             </DescribeServerlessCachesResponse>"
        ),
    ))
}
