"""What reading FHIR costs beside merely decoding the same bytes."""
