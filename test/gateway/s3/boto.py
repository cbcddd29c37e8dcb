# Drives a gateway with boto3, which checks what it is answered as strictly as any client; every step that fails prints
# its name. Arguments: endpoint. The keys are those of the service in memory.
import base64, hashlib, io, os, socket, sys, time, traceback, urllib.request, zlib
import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

endpoint = sys.argv[1]


def client(key='bench', secret='benchbench', **config):
    return boto3.client('s3', endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret,
                        region_name='us-east-1', config=Config(retries={'max_attempts': 1}, **config))


s3 = client(s3={'addressing_style': 'path'})
steps = []


def step(function):
    steps.append(function)
    return function


def fails(code, function, **arguments):
    try:
        function(**arguments)
    except ClientError as error:
        assert error.response['Error']['Code'] == code, (code, error.response['Error'])
        return error.response
    raise AssertionError('expected %s' % code)


@step
def buckets():
    s3.create_bucket(Bucket='boto-a')
    s3.create_bucket(Bucket='boto-a')
    fails('BucketAlreadyExists', client('other', 'othersecret').create_bucket, Bucket='boto-a')
    fails('AccessDenied', client('other', 'othersecret').list_objects_v2, Bucket='boto-a')
    fails('InvalidBucketName', s3.create_bucket, Bucket='Under_Score')
    assert 'boto-a' in [b['Name'] for b in s3.list_buckets()['Buckets']]
    assert s3.get_bucket_location(Bucket='boto-a')['LocationConstraint'] is None
    assert 'Status' not in s3.get_bucket_versioning(Bucket='boto-a')
    grants = s3.get_bucket_acl(Bucket='boto-a')['Grants']
    assert grants[0]['Permission'] == 'FULL_CONTROL' and grants[0]['Grantee']['ID'] == 'bench', grants
    fails('NoSuchBucketPolicy', s3.get_bucket_policy, Bucket='boto-a')
    fails('NoSuchCORSConfiguration', s3.get_bucket_cors, Bucket='boto-a')
    fails('NoSuchLifecycleConfiguration', s3.get_bucket_lifecycle_configuration, Bucket='boto-a')
    fails('NoSuchTagSet', s3.get_bucket_tagging, Bucket='boto-a')
    fails('NotImplemented', s3.put_bucket_versioning, Bucket='boto-a', VersioningConfiguration={'Status': 'Enabled'})
    fails('NoSuchBucket', s3.list_objects_v2, Bucket='boto-none')
    fails('404', s3.head_bucket, Bucket='boto-none')
    s3.put_object(Bucket='boto-a', Key='x')
    fails('BucketNotEmpty', s3.delete_bucket, Bucket='boto-a')
    s3.delete_object(Bucket='boto-a', Key='x')
    s3.delete_bucket(Bucket='boto-a')
    fails('NoSuchBucket', s3.delete_bucket, Bucket='boto-a')
    s3.create_bucket(Bucket='boto')


@step
def keys_of_every_kind():
    for key in ['plain', 'a b', 'a+b', 'a%2Fb', 'ü/ö€😀', 'x//y', './z', '../z', 'q?x=1&y', 'star*(paren)\'!~', '<&>"', 'tab\t',
                'k' * 1024, 'dir/', ';=:@,$', '#hash']:
        s3.put_object(Bucket='boto', Key=key, Body=key.encode())
        assert s3.get_object(Bucket='boto', Key=key)['Body'].read() == key.encode(), key
        found = s3.list_objects_v2(Bucket='boto', Prefix=key)['Contents']
        assert key in [entry['Key'] for entry in found], (key, found)
        assert key in [entry['Key'] for entry in s3.list_objects(Bucket='boto', Prefix=key)['Contents']]
        s3.delete_object(Bucket='boto', Key=key)
        fails('NoSuchKey', s3.get_object, Bucket='boto', Key=key)
        fails('404', s3.head_object, Bucket='boto', Key=key)
    fails('KeyTooLongError', s3.put_object, Bucket='boto', Key='k' * 1025)


@step
def metadata_and_headers():
    s3.put_object(Bucket='boto', Key='m', Body=b'hello', ContentType='text/plain', CacheControl='max-age=5',
                  ContentDisposition='attachment; filename="x"', ContentEncoding='gzip', ContentLanguage='de',
                  Expires='Tue, 24 Nov 2037 18:20:50 GMT', Metadata={'one': '1', 'two-words': 'a  b'}, Tagging='a=1&b=%20')
    for head in (s3.head_object(Bucket='boto', Key='m'), s3.get_object(Bucket='boto', Key='m')):
        assert head['ContentType'] == 'text/plain' and head['CacheControl'] == 'max-age=5'
        assert head['ContentDisposition'] == 'attachment; filename="x"' and head['ContentEncoding'] == 'gzip', head
        assert head['ContentLanguage'] == 'de' and head['Metadata'] == {'one': '1', 'two-words': 'a  b'}, head
        assert head['ExpiresString'] == 'Tue, 24 Nov 2037 18:20:50 GMT', head
        assert head['ETag'] == '"%s"' % hashlib.md5(b'hello').hexdigest() and head['ContentLength'] == 5
    assert s3.get_object_tagging(Bucket='boto', Key='m')['TagSet'] == [{'Key': 'a', 'Value': '1'}, {'Key': 'b', 'Value': ' '}]
    s3.put_object_tagging(Bucket='boto', Key='m', Tagging={'TagSet': [{'Key': 'x', 'Value': 'y&z'}]})
    assert s3.get_object_tagging(Bucket='boto', Key='m')['TagSet'] == [{'Key': 'x', 'Value': 'y&z'}]
    assert s3.head_object(Bucket='boto', Key='m')['Metadata']['one'] == '1'
    s3.delete_object_tagging(Bucket='boto', Key='m')
    assert s3.get_object_tagging(Bucket='boto', Key='m')['TagSet'] == []
    fails('MetadataTooLarge', s3.put_object, Bucket='boto', Key='m', Metadata={'big': 'x' * 3000})
    fails('InvalidStorageClass', s3.put_object, Bucket='boto', Key='m', StorageClass='COLD')
    fails('NotImplemented', s3.put_object, Bucket='boto', Key='m', ServerSideEncryption='AES256')
    fails('AccessControlListNotSupported', s3.put_object, Bucket='boto', Key='m', ACL='public-read')
    s3.put_object(Bucket='boto', Key='plain')
    assert s3.head_object(Bucket='boto', Key='plain')['ContentType'] == 'binary/octet-stream'
    attributes = s3.get_object_attributes(Bucket='boto', Key='m', ObjectAttributes=['ETag', 'ObjectSize'])
    assert attributes['ObjectSize'] == 5 and attributes['ETag'] == hashlib.md5(b'hello').hexdigest()


@step
def ranges_and_conditions():
    body = os.urandom(300_000)
    put = s3.put_object(Bucket='boto', Key='r', Body=body)
    for given, start, end in [('bytes=0-9', 0, 10), ('bytes=100-', 100, 300_000), ('bytes=-7', 299_993, 300_000),
                              ('bytes=299999-400000', 299_999, 300_000), ('bytes=65535-265537', 65_535, 265_538)]:
        got = s3.get_object(Bucket='boto', Key='r', Range=given)
        assert got['ResponseMetadata']['HTTPStatusCode'] == 206
        assert got['ContentRange'] == 'bytes %d-%d/300000' % (start, end - 1), got['ContentRange']
        assert got['Body'].read() == body[start:end]
    assert s3.get_object(Bucket='boto', Key='r', Range='bytes=0-1,5-6')['Body'].read() == body
    assert s3.get_object(Bucket='boto', Key='r', Range='bytes=9-3')['Body'].read() == body
    fails('InvalidRange', s3.get_object, Bucket='boto', Key='r', Range='bytes=300000-')
    head = s3.head_object(Bucket='boto', Key='r', Range='bytes=5-9')
    assert head['ContentLength'] == 5
    etag, when = put['ETag'], head['LastModified']
    fails('304', s3.get_object, Bucket='boto', Key='r', IfNoneMatch=etag)
    fails('304', s3.head_object, Bucket='boto', Key='r', IfModifiedSince=when)
    fails('PreconditionFailed', s3.get_object, Bucket='boto', Key='r', IfMatch='"0"')
    fails('PreconditionFailed', s3.get_object, Bucket='boto', Key='r', IfUnmodifiedSince='2001-01-01')
    assert s3.get_object(Bucket='boto', Key='r', IfMatch=etag, IfUnmodifiedSince='2001-01-01')['ContentLength'] == 300_000
    fails('304', s3.get_object, Bucket='boto', Key='r', IfNoneMatch=etag, IfModifiedSince='2001-01-01')
    fails('PreconditionFailed', s3.put_object, Bucket='boto', Key='r', IfNoneMatch='*')
    fails('PreconditionFailed', s3.put_object, Bucket='boto', Key='r', IfMatch='"0"')
    s3.put_object(Bucket='boto', Key='r', IfMatch=etag, Body=b'new')
    s3.put_object(Bucket='boto', Key='r-new', IfNoneMatch='*', Body=b'new')
    s3.put_object(Bucket='boto', Key='empty')
    assert s3.get_object(Bucket='boto', Key='empty')['Body'].read() == b''
    fails('InvalidRange', s3.get_object, Bucket='boto', Key='empty', Range='bytes=0-0')
    fails('PreconditionFailed', s3.delete_object, Bucket='boto', Key='r', IfMatch='"0"')


@step
def checksums():
    body = os.urandom(100_000)
    sha = base64.b64encode(hashlib.sha256(body).digest()).decode()
    crc = base64.b64encode(zlib.crc32(body).to_bytes(4, 'big')).decode()
    assert s3.put_object(Bucket='boto', Key='c', Body=body, ChecksumAlgorithm='CRC32')['ChecksumCRC32'] == crc
    head = s3.head_object(Bucket='boto', Key='c', ChecksumMode='ENABLED')
    assert head['ChecksumCRC32'] == crc and head['ChecksumType'] == 'FULL_OBJECT', head
    assert s3.get_object(Bucket='boto', Key='c', ChecksumMode='ENABLED')['Body'].read() == body
    s3.put_object(Bucket='boto', Key='c', Body=body, ChecksumSHA256=sha)
    assert s3.head_object(Bucket='boto', Key='c', ChecksumMode='ENABLED')['ChecksumSHA256'] == sha
    s3.put_object(Bucket='boto', Key='c', Body=body, ChecksumAlgorithm='SHA1')
    fails('BadDigest', s3.put_object, Bucket='boto', Key='c', Body=body, ChecksumSHA256=base64.b64encode(hashlib.sha256(b'other').digest()).decode())
    fails('BadDigest', s3.put_object, Bucket='boto', Key='c', Body=body,
          ContentMD5=base64.b64encode(hashlib.md5(b'other').digest()).decode())
    fails('InvalidDigest', s3.put_object, Bucket='boto', Key='c', Body=body, ContentMD5='bm90IG1kNQ==')
    assert s3.head_object(Bucket='boto', Key='c')['ContentLength'] == 100_000
    # A stream: sent as aws-chunked with the checksum in a trailer.
    s3.upload_fileobj(io.BytesIO(body), 'boto', 'stream', ExtraArgs={'ChecksumAlgorithm': 'SHA256'})
    assert s3.head_object(Bucket='boto', Key='stream', ChecksumMode='ENABLED')['ChecksumSHA256'] == sha
    signed = client(s3={'payload_signing_enabled': True}, request_checksum_calculation='when_required')
    signed.put_object(Bucket='boto', Key='signed', Body=body)
    assert signed.get_object(Bucket='boto', Key='signed')['Body'].read() == body


@step
def listing():
    s3.create_bucket(Bucket='boto-list')
    keys = ['a.txt', 'a/1', 'a/2', 'a/b/3', 'b/', 'b/1', 'c']
    for key in keys:
        s3.put_object(Bucket='boto-list', Key=key, Body=b'1')
    page = s3.list_objects_v2(Bucket='boto-list')
    assert [entry['Key'] for entry in page['Contents']] == keys and page['KeyCount'] == 7 and not page['IsTruncated']
    page = s3.list_objects_v2(Bucket='boto-list', Delimiter='/', FetchOwner=True)
    assert [entry['Key'] for entry in page['Contents']] == ['a.txt', 'c'] and page['Contents'][0]['Owner']['ID'] == 'bench'
    assert [entry['Prefix'] for entry in page['CommonPrefixes']] == ['a/', 'b/'] and page['KeyCount'] == 4
    assert [e['Key'] for e in s3.list_objects_v2(Bucket='boto-list', StartAfter='a/b/3')['Contents']] == ['b/', 'b/1', 'c']
    for operation in ('list_objects', 'list_objects_v2'):
        for size in (1, 2, 3, 7):
            pages = s3.get_paginator(operation).paginate(Bucket='boto-list', PaginationConfig={'PageSize': size})
            assert [entry['Key'] for page in pages for entry in page.get('Contents', [])] == keys, (operation, size)
            pages = s3.get_paginator(operation).paginate(Bucket='boto-list', Delimiter='/', PaginationConfig={'PageSize': size})
            names = sorted(n for page in pages for n in [e['Key'] for e in page.get('Contents', [])] +
                           [e['Prefix'] for e in page.get('CommonPrefixes', [])])
            assert names == ['a.txt', 'a/', 'b/', 'c'], (operation, size, names)
    page = s3.list_objects_v2(Bucket='boto-list', MaxKeys=0)
    assert page['KeyCount'] == 0 and not page['IsTruncated']
    fails('InvalidArgument', s3.list_objects_v2, Bucket='boto-list', ContinuationToken='nonsense')
    assert s3.list_objects_v2(Bucket='boto-list', ContinuationToken='')['KeyCount'] == 7
    fails('InvalidArgument', s3.list_objects_v2, Bucket='boto-list', EncodingType='rot13')
    versions = s3.list_object_versions(Bucket='boto-list')['Versions']
    assert [entry['Key'] for entry in versions] == keys and versions[0]['VersionId'] == 'null'
    done = s3.delete_objects(Bucket='boto-list', Delete={'Objects': [{'Key': key} for key in keys + ['never']]})
    assert len(done['Deleted']) == 8 and 'Errors' not in done
    assert 'Deleted' not in s3.delete_objects(Bucket='boto-list', Delete={'Objects': [{'Key': 'x'}], 'Quiet': True})
    fails('MalformedXML', s3.delete_objects, Bucket='boto-list', Delete={'Objects': [{'Key': 'k%d' % n} for n in range(1001)]})
    s3.delete_bucket(Bucket='boto-list')


@step
def copies():
    s3.create_bucket(Bucket='boto-copy')
    s3.put_object(Bucket='boto', Key='src ü', Body=b'copied', ContentType='text/x', Metadata={'k': 'v'})
    source = {'Bucket': 'boto', 'Key': 'src ü'}
    for bucket in ('boto', 'boto-copy'):
        copied = s3.copy_object(Bucket=bucket, Key='dst', CopySource=source)
        assert copied['CopyObjectResult']['ETag'] == '"%s"' % hashlib.md5(b'copied').hexdigest()
        got = s3.get_object(Bucket=bucket, Key='dst')
        assert got['Body'].read() == b'copied' and got['ContentType'] == 'text/x' and got['Metadata'] == {'k': 'v'}
        s3.copy_object(Bucket=bucket, Key='dst', CopySource=source, MetadataDirective='REPLACE', ContentType='text/y')
        got = s3.head_object(Bucket=bucket, Key='dst')
        assert got['ContentType'] == 'text/y' and got['Metadata'] == {}
    fails('InvalidRequest', s3.copy_object, Bucket='boto', Key='src ü', CopySource=source)
    s3.copy_object(Bucket='boto', Key='src ü', CopySource=source, MetadataDirective='REPLACE', Metadata={'n': '1'})
    assert s3.head_object(Bucket='boto', Key='src ü')['Metadata'] == {'n': '1'}
    fails('PreconditionFailed', s3.copy_object, Bucket='boto', Key='dst', CopySource=source, CopySourceIfMatch='"0"')
    fails('NoSuchKey', s3.copy_object, Bucket='boto', Key='dst', CopySource={'Bucket': 'boto', 'Key': 'none'})
    fails('NoSuchBucket', s3.copy_object, Bucket='boto', Key='dst', CopySource={'Bucket': 'boto-none', 'Key': 'none'})
    fails('AccessDenied', client('other', 'othersecret').copy_object, Bucket='boto', Key='dst', CopySource=source)


@step
def multipart():
    sizes = [5 << 20, (5 << 20) + 1, 1000]
    bodies = [os.urandom(size) for size in sizes]
    upload = s3.create_multipart_upload(Bucket='boto', Key='mp ü', Metadata={'m': '1'}, ContentType='x/y')['UploadId']
    assert upload in [u['UploadId'] for u in s3.list_multipart_uploads(Bucket='boto')['Uploads']]
    grouped = s3.list_multipart_uploads(Bucket='boto', Delimiter=' ')
    assert [p['Prefix'] for p in grouped['CommonPrefixes']] == ['mp '] and 'Uploads' not in grouped
    etags = [s3.upload_part(Bucket='boto', Key='mp ü', UploadId=upload, PartNumber=n + 1, Body=body)['ETag']
             for n, body in enumerate(bodies)]
    listed = s3.list_parts(Bucket='boto', Key='mp ü', UploadId=upload, MaxParts=2)
    assert [p['Size'] for p in listed['Parts']] == sizes[:2] and listed['IsTruncated'], listed
    rest = s3.list_parts(Bucket='boto', Key='mp ü', UploadId=upload, PartNumberMarker=listed['NextPartNumberMarker'])
    assert [p['PartNumber'] for p in rest['Parts']] == [3]
    parts = [{'PartNumber': n + 1, 'ETag': etag} for n, etag in enumerate(etags)]
    complete = dict(Bucket='boto', Key='mp ü', UploadId=upload)
    fails('InvalidPart', s3.complete_multipart_upload, MultipartUpload={'Parts': parts + [{'PartNumber': 9, 'ETag': etags[0]}]}, **complete)
    fails('InvalidPartOrder', s3.complete_multipart_upload, MultipartUpload={'Parts': parts[::-1]}, **complete)
    done = s3.complete_multipart_upload(MultipartUpload={'Parts': parts}, **complete)
    want = '"%s-3"' % hashlib.md5(b''.join(hashlib.md5(b).digest() for b in bodies)).hexdigest()
    assert done['ETag'] == want and done['Key'] == 'mp ü', done
    assert s3.complete_multipart_upload(MultipartUpload={'Parts': parts}, **complete)['ETag'] == want
    got = s3.get_object(Bucket='boto', Key='mp ü')
    assert got['Body'].read() == b''.join(bodies) and got['Metadata'] == {'m': '1'} and got['ContentType'] == 'x/y'
    part = s3.get_object(Bucket='boto', Key='mp ü', PartNumber=2)
    assert part['Body'].read() == bodies[1] and part['PartsCount'] == 3
    fails('InvalidPart', s3.get_object, Bucket='boto', Key='mp ü', PartNumber=4)
    fails('NoSuchUpload', s3.upload_part, Bucket='boto', Key='mp ü', UploadId='abc', PartNumber=1, Body=b'')
    fails('NoSuchUpload', s3.list_parts, Bucket='boto', Key='mp ü', UploadId=upload)

    upload = s3.create_multipart_upload(Bucket='boto', Key='small')['UploadId']
    small = [s3.upload_part(Bucket='boto', Key='small', UploadId=upload, PartNumber=n, Body=b'12')['ETag'] for n in (1, 2)]
    fails('EntityTooSmall', s3.complete_multipart_upload, Bucket='boto', Key='small', UploadId=upload,
          MultipartUpload={'Parts': [{'PartNumber': n + 1, 'ETag': e} for n, e in enumerate(small)]})
    fails('InvalidArgument', s3.upload_part, Bucket='boto', Key='small', UploadId=upload, PartNumber=10001, Body=b'')
    s3.abort_multipart_upload(Bucket='boto', Key='small', UploadId=upload)
    fails('NoSuchUpload', s3.abort_multipart_upload, Bucket='boto', Key='small', UploadId=upload)

    upload = s3.create_multipart_upload(Bucket='boto', Key='pc')['UploadId']
    whole = b''.join(bodies)
    source = {'Bucket': 'boto', 'Key': 'mp ü'}
    copied = []
    for n, (start, end) in enumerate([(0, 5 << 20), (5 << 20, len(whole))]):
        copied.append(s3.upload_part_copy(Bucket='boto', Key='pc', UploadId=upload, PartNumber=n + 1, CopySource=source,
                                          CopySourceRange='bytes=%d-%d' % (start, end - 1))['CopyPartResult']['ETag'])
    fails('InvalidRange', s3.upload_part_copy, Bucket='boto', Key='pc', UploadId=upload, PartNumber=3, CopySource=source,
          CopySourceRange='bytes=0-%d' % len(whole))
    s3.complete_multipart_upload(Bucket='boto', Key='pc', UploadId=upload, MultipartUpload={
        'Parts': [{'PartNumber': n + 1, 'ETag': e} for n, e in enumerate(copied)]})
    assert s3.get_object(Bucket='boto', Key='pc')['Body'].read() == whole


@step
def multipart_checksums():
    bodies = [os.urandom(5 << 20), os.urandom(77)]
    whole = b''.join(bodies)
    for algorithm, kind in [('CRC32', 'FULL_OBJECT'), ('CRC32', 'COMPOSITE'), ('SHA256', 'COMPOSITE')]:
        upload = s3.create_multipart_upload(Bucket='boto', Key='mc', ChecksumAlgorithm=algorithm, ChecksumType=kind)
        assert upload['ChecksumType'] == kind
        parts = []
        for n, body in enumerate(bodies):
            part = s3.upload_part(Bucket='boto', Key='mc', UploadId=upload['UploadId'], PartNumber=n + 1, Body=body,
                                  ChecksumAlgorithm=algorithm)
            name = 'Checksum' + algorithm
            parts.append({'PartNumber': n + 1, 'ETag': part['ETag'], name: part[name]})
        done = s3.complete_multipart_upload(Bucket='boto', Key='mc', UploadId=upload['UploadId'], MultipartUpload={'Parts': parts})
        if kind == 'FULL_OBJECT':
            want = base64.b64encode(zlib.crc32(whole).to_bytes(4, 'big')).decode()
        else:
            joined = b''.join(base64.b64decode(part[name]) for part in parts)
            digest = hashlib.sha256(joined).digest() if algorithm == 'SHA256' else zlib.crc32(joined).to_bytes(4, 'big')
            want = base64.b64encode(digest).decode() + '-2'
        assert done[name] == want and done['ChecksumType'] == kind, (done, want)
        assert s3.head_object(Bucket='boto', Key='mc', ChecksumMode='ENABLED')[name] == want
    fails('InvalidRequest', s3.create_multipart_upload, Bucket='boto', Key='mc', ChecksumAlgorithm='SHA1', ChecksumType='FULL_OBJECT')


@step
def transfers():
    body = os.urandom(20 << 20)
    s3.upload_fileobj(io.BytesIO(body), 'boto', 'big')
    target = io.BytesIO()
    s3.download_fileobj('boto', 'big', target)
    assert target.getvalue() == body
    assert s3.head_object(Bucket='boto', Key='big')['ETag'].endswith('-3"')


@step
def presigned():
    s3.put_object(Bucket='boto', Key='p ü', Body=b'presigned')
    v4 = client(signature_version='s3v4', s3={'addressing_style': 'path'})
    arguments = {'Bucket': 'boto', 'Key': 'p ü', 'ResponseContentType': 'text/z', 'ResponseContentDisposition': 'a\r\nX-Evil: 1'}
    url = v4.generate_presigned_url('get_object', Params=arguments)
    answer = urllib.request.urlopen(url)
    assert answer.read() == b'presigned' and answer.headers['Content-Type'] == 'text/z' and answer.headers['X-Evil'] is None
    put = v4.generate_presigned_url('put_object', Params={'Bucket': 'boto', 'Key': 'p2', 'ContentType': 'a/b'})
    urllib.request.urlopen(urllib.request.Request(put, data=b'12345', method='PUT', headers={'Content-Type': 'a/b'}))
    assert s3.get_object(Bucket='boto', Key='p2')['ContentType'] == 'a/b'

    def status(request):
        try:
            return urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode().split('<Code>')[1].split('<')[0]

    assert status(put.replace('p2', 'p3')) == (403, 'SignatureDoesNotMatch')
    assert status(urllib.request.Request(put, data=b'', method='PUT', headers={
        'Content-Type': 'a/b', 'x-amz-copy-source': 'boto/p2'})) == (403, 'AccessDenied')
    short = v4.generate_presigned_url('get_object', Params={'Bucket': 'boto', 'Key': 'p2'}, ExpiresIn=1)
    limit = time.time() + 20
    while status(short) == 200 and time.time() < limit:
        time.sleep(0.2)
    assert status(short) == (403, 'AccessDenied')


@step
def credentials():
    fails('InvalidAccessKeyId', client('nobody', 'x').list_buckets)
    fails('SignatureDoesNotMatch', client('bench', 'wrong').list_buckets)
    fails('SignatureDoesNotMatch', client('bench', 'wrong').put_object, Bucket='boto', Key='never', Body=b'x' * 100_000)
    fails('NoSuchKey', s3.get_object, Bucket='boto', Key='never')


@step
def virtual_host():
    # No resolver knows the names of buckets: they are all this machine.
    resolve = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *rest, **more: resolve('127.0.0.1' if 'localhost' in str(host) else host, *rest, **more)
    named = boto3.client('s3', endpoint_url=endpoint.replace('127.0.0.1', 'localhost'), aws_access_key_id='bench',
                         aws_secret_access_key='benchbench', region_name='us-east-1',
                         config=Config(s3={'addressing_style': 'virtual'}, retries={'max_attempts': 1}))
    named.put_object(Bucket='boto', Key='virtual/x y', Body=b'v')
    assert s3.get_object(Bucket='boto', Key='virtual/x y')['Body'].read() == b'v'
    assert named.list_objects_v2(Bucket='boto', Prefix='virtual/')['KeyCount'] == 1


failed = 0
for function in steps:
    try:
        begun = time.time()
        function()
        print('ok', function.__name__, '%.1f s' % (time.time() - begun))
    except Exception:
        failed += 1
        print('FAILED', function.__name__)
        traceback.print_exc(file=sys.stdout)
sys.exit(1 if failed else 0)
