"""The wire messages of Vertex AI's FeatureOnlineStoreService, as small as they can be.

Google's own classes cost 0.6 s and 110 MB to import and ten times as long to read. These are wire-compatible with both
v1 and v1beta1: v1's messages are subsets of v1beta1's, with the same numbers. A contract test holds them equal to
google-cloud-aiplatform's descriptors.

Source: google/cloud/aiplatform/v1beta1/feature_online_store_service.proto and featurestore_online_service.proto.
"""

from typing import Final

from features.protos import message_classes

PACKAGE: Final = "google.cloud.aiplatform.v1beta1"

V1: Final = "/google.cloud.aiplatform.v1.FeatureOnlineStoreService/"
V1BETA1: Final = "/google.cloud.aiplatform.v1beta1.FeatureOnlineStoreService/"

KEY_VALUE: Final = 1
PROTO_STRUCT: Final = 2
"""Values of the enum FeatureViewDataFormat; on the wire an enum is an int32."""

MESSAGES: Final = message_classes(
    PACKAGE,
    """
FeatureViewDataKey
  1 key string @key_oneof
  2 composite_key FeatureViewDataKey.CompositeKey @key_oneof
FeatureViewDataKey.CompositeKey
  1 parts string repeated
BoolArray
  1 values bool repeated
DoubleArray
  1 values double repeated
Int64Array
  1 values int64 repeated
StringArray
  1 values string repeated
StructFieldValue
  1 name string
  2 value FeatureValue
StructValue
  1 values StructFieldValue repeated
FeatureValue
  1 bool_value bool @value
  2 double_value double @value
  5 int64_value int64 @value
  6 string_value string @value
  7 bool_array_value BoolArray @value
  8 double_array_value DoubleArray @value
  11 int64_array_value Int64Array @value
  12 string_array_value StringArray @value
  13 bytes_value bytes @value
  15 struct_value StructValue @value
  14 metadata FeatureValue.Metadata
FeatureValue.Metadata
  1 generate_time google.protobuf.Timestamp
FetchFeatureValuesRequest
  1 feature_view string
  3 id string @entity_id
  6 data_key FeatureViewDataKey
  7 data_format int32
FetchFeatureValuesResponse
  3 key_values FetchFeatureValuesResponse.FeatureNameValuePairList @format
  2 proto_struct google.protobuf.Struct @format
  4 data_key FeatureViewDataKey
FetchFeatureValuesResponse.FeatureNameValuePairList
  1 features FetchFeatureValuesResponse.FeatureNameValuePairList.FeatureNameValuePair repeated
FetchFeatureValuesResponse.FeatureNameValuePairList.FeatureNameValuePair
  1 name string
  2 value FeatureValue @data
Status
  1 code int32
  2 message string
StreamingFetchFeatureValuesRequest
  1 feature_view string
  2 data_keys FeatureViewDataKey repeated
  3 data_format int32
StreamingFetchFeatureValuesResponse
  1 status Status
  2 data FetchFeatureValuesResponse repeated
  3 data_keys_with_error FeatureViewDataKey repeated
FeatureViewDirectWriteRequest
  1 feature_view string
  2 data_key_and_feature_values FeatureViewDirectWriteRequest.DataKeyAndFeatureValues repeated
FeatureViewDirectWriteRequest.DataKeyAndFeatureValues
  1 data_key FeatureViewDataKey
  2 features FeatureViewDirectWriteRequest.DataKeyAndFeatureValues.Feature repeated
FeatureViewDirectWriteRequest.DataKeyAndFeatureValues.Feature
  1 name string
  2 value_and_timestamp FeatureViewDirectWriteRequest.DataKeyAndFeatureValues.Feature.TimedValue @data_oneof
  3 value FeatureValue @data_oneof
FeatureViewDirectWriteRequest.DataKeyAndFeatureValues.Feature.TimedValue
  1 value FeatureValue
  2 timestamp google.protobuf.Timestamp
FeatureViewDirectWriteResponse
  1 status Status
  2 write_responses FeatureViewDirectWriteResponse.WriteResponse repeated
FeatureViewDirectWriteResponse.WriteResponse
  1 data_key FeatureViewDataKey
  2 online_store_write_time google.protobuf.Timestamp
""",
)

DataKey: Final = MESSAGES["FeatureViewDataKey"]
FeatureValue: Final = MESSAGES["FeatureValue"]
FetchRequest: Final = MESSAGES["FetchFeatureValuesRequest"]
FetchResponse: Final = MESSAGES["FetchFeatureValuesResponse"]
StreamingRequest: Final = MESSAGES["StreamingFetchFeatureValuesRequest"]
StreamingResponse: Final = MESSAGES["StreamingFetchFeatureValuesResponse"]
DirectWriteRequest: Final = MESSAGES["FeatureViewDirectWriteRequest"]
DirectWriteResponse: Final = MESSAGES["FeatureViewDirectWriteResponse"]
