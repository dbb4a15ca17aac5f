//! CBOR for the SDK's Kinesis client: a client protocol that labels requests `application/x-amz-cbor-1.1` and reads answers
//! with the SDK's own CBOR deserialiser. It serves PutRecords only; the body itself is ours (`body`).
//!
//! The SDK knows this encoding under another name (`rpcv2Cbor`: other paths and headers), hence the hook. The smithy crates
//! are pinned with `~` because of this file.

use aws_smithy_cbor::codec::{CborCodec, CborCodecSettings};
use aws_smithy_cbor::protocol::RpcV2CborProtocol;
use aws_smithy_json::protocol::aws_json_rpc::AwsJsonRpcProtocol;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::http::{Request, Response};
use aws_smithy_schema::http_protocol::HttpRpcProtocol;
use aws_smithy_schema::protocol::{ClientProtocolInner, apply_http_endpoint};
use aws_smithy_schema::serde::{SerdeError, SerializableStruct, ShapeDeserializer};
use aws_smithy_schema::{Schema, ShapeId, shape_id};
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::endpoint::Endpoint;
use aws_smithy_types::error::metadata;

const CONTENT_TYPE: &str = "application/x-amz-cbor-1.1";
/// The service's name in `X-Amz-Target`.
const TARGET_PREFIX: &str = "Kinesis_20131202";

/// The protocol that the AWS SDKs for Java speak to Kinesis.
#[derive(Debug)]
pub(super) struct AmzCbor {
    cbor: HttpRpcProtocol<CborCodec>,
    cbor_errors: RpcV2CborProtocol,
    json: AwsJsonRpcProtocol,
}

impl AmzCbor {
    pub(super) fn new() -> AmzCbor {
        let codec = CborCodec::new(CborCodecSettings::default());
        AmzCbor {
            cbor: HttpRpcProtocol::new(shape_id!("aws.protocols", "amzCbor1_1"), codec, CONTENT_TYPE),
            cbor_errors: RpcV2CborProtocol::new(),
            json: AwsJsonRpcProtocol::aws_json_1_1(),
        }
    }

    /// An endpoint without CBOR refuses it in JSON; read as CBOR its error would lose the code that says so.
    fn error_reader(&self, response: &Response) -> &dyn ClientProtocolInner<Request = Request, Response = Response> {
        let json = response.headers().get("content-type").is_some_and(|value| value.contains("json"));
        if json { &self.json } else { &self.cbor_errors }
    }
}

impl ClientProtocolInner for AmzCbor {
    type Request = Request;
    type Response = Response;

    fn protocol_id(&self) -> &ShapeId<'static> {
        ClientProtocolInner::protocol_id(&self.cbor)
    }

    fn serialize_request(
        &self,
        input: &dyn SerializableStruct,
        schema: &Schema<'_>,
        _endpoint: &str,
        cfg: &ConfigBag,
    ) -> Result<Request, SerdeError> {
        let mut request = ClientProtocolInner::serialize_request(&self.cbor, input, schema, "/", cfg)?;
        let operation = cfg.load::<Metadata>().map_or("PutRecords", Metadata::name);
        request.headers_mut().insert("X-Amz-Target", format!("{TARGET_PREFIX}.{operation}"));
        Ok(request)
    }

    fn deserialize_response<'a>(
        &self,
        response: &'a Response,
        schema: &Schema<'_>,
        cfg: &'a ConfigBag,
    ) -> Result<Box<dyn ShapeDeserializer + 'a>, SerdeError> {
        ClientProtocolInner::deserialize_response(&self.cbor, response, schema, cfg)
    }

    fn parse_error_metadata(&self, response: &Response, cfg: &ConfigBag) -> Result<metadata::Builder, SerdeError> {
        self.error_reader(response).parse_error_metadata(response, cfg)
    }

    fn deserialize_error_response<'a>(
        &self,
        response: &'a Response,
        cfg: &'a ConfigBag,
    ) -> Result<Box<dyn ShapeDeserializer + 'a>, SerdeError> {
        self.error_reader(response).deserialize_error_response(response, cfg)
    }

    fn update_endpoint(&self, request: &mut Request, endpoint: &Endpoint, cfg: &ConfigBag) -> Result<(), SerdeError> {
        apply_http_endpoint(request, endpoint, cfg)
    }
}
